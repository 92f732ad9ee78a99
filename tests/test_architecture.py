"""The rules of docs/architecture.md, read off the code by its syntax tree: who imports what, who owns the optimiser,
how long a function may be."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path
from statistics import median

import pytest

from benchmark.board.results import TRIVIAL

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("fedmrg_core", "benchmark")

LAYERS = {  # part -> layer; a part imports its own layer and those below, never above
    "errors": 0,
    "paths": 0,
    "files": 0,
    "types": 0,
    "tree": 0,
    "seeding": 0,
    "data": 1,
    "models": 1,
    "codec": 1,
    "metrics": 1,
    "algorithms": 2,
    "engine": 3,
    "evaluate": 4,
    "tracking": 4,
    "runfolder": 4,
}
ONLY_IN = {  # a package -> the only places that import it
    "ray": tuple(f"fedmrg_core/engine/ray/{name}.py" for name in ("instance", "placement", "pool")),
    "mlflow": ("fedmrg_core/tracking.py",),
    "peft": ("fedmrg_core/models/tuning.py",),
}


def modules() -> dict[str, ast.Module]:
    """Path from the project folder -> syntax tree, of every module."""
    paths = sorted(itertools.chain.from_iterable((ROOT / package).rglob("*.py") for package in PACKAGES))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in paths}


MODULES = modules()


def imports(tree: ast.Module) -> set[str]:
    """Dotted names of everything a module imports, also inside functions; `from a import b` counts as a and a.b."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages(tree: ast.Module) -> set[str]:
    return {name.split(".")[0] for name in imports(tree)}


def core_parts(tree: ast.Module) -> set[str]:
    """Parts of fedmrg_core that a module imports."""
    return {name.split(".")[1] for name in imports(tree) if name.startswith("fedmrg_core.")} & LAYERS.keys()


def part_of(path: str) -> str:
    return path.split("/")[1].removesuffix(".py")


def calls(tree: ast.Module) -> set[str]:
    """Dotted texts of everything that is called: `loss.backward`, `self.optimizer.step`, `torch.load` .."""
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def test_every_core_part_has_a_layer():
    parts = {part_of(path) for path in MODULES if path.startswith("fedmrg_core/")} - {"__init__"}
    assert parts <= LAYERS.keys()


def test_imports_go_down_only():
    wrong = [
        f"{path} imports {other}"
        for path, tree in MODULES.items()
        if path.startswith("fedmrg_core/") and part_of(path) in LAYERS
        for other in core_parts(tree)
        if LAYERS[other] > LAYERS[part_of(path)]
    ]
    assert not wrong


def test_the_core_knows_nothing_of_the_benchmark():
    assert not [p for p, tree in MODULES.items() if p.startswith("fedmrg_core/") and "benchmark" in packages(tree)]


@pytest.mark.parametrize("package", sorted(ONLY_IN))
def test_few_files_import(package):
    assert {path for path, tree in MODULES.items() if package in packages(tree)} == set(ONLY_IN[package])


def test_algorithms_touch_neither_data_nor_engine_nor_tools():
    barred = {"data", "engine", "evaluate", "tracking", "runfolder"}
    wrong = [
        f"{path} imports {sorted(found)}"
        for path, tree in MODULES.items()
        if path.startswith("fedmrg_core/algorithms/")
        and (found := (core_parts(tree) & barred) | (packages(tree) & {"ray", "mlflow", "peft", "transformers"}))
    ]
    assert not wrong


def test_shared_code_names_no_algorithm():
    """A new algorithm is one file and one config: the engine, the models and the loop never ask for a name."""
    names = {path.stem.replace("_", "-") for path in (ROOT / "benchmark/configs/algos").glob("*.toml")} - set(TRIVIAL)
    names |= {name.replace("-", "_") for name in names}
    loop = ("benchmark/run/experiment.py", "benchmark/run/stages.py")
    places = ("fedmrg_core/engine/", "fedmrg_core/models/", "fedmrg_core/evaluate.py", *loop)
    wrong = [
        f"{path} line {node.lineno}: '{node.value}'"
        for path, tree in MODULES.items()
        if path.startswith(places)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert not wrong


def test_one_optimiser_loop():
    def loops(tree: ast.Module) -> bool:
        return any(name.endswith((".backward", "optimizer.step", "optimiser.step")) for name in calls(tree))

    assert {path for path, tree in MODULES.items() if loops(tree)} == {"fedmrg_core/engine/trainer.py"}


def test_nothing_unpickles_what_it_reads():
    wrong = []
    for path, tree in MODULES.items():
        if packages(tree) & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}:
            wrong.append(f"{path} imports a pickle module")
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "np.load", "numpy.load"):
                said = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if ast.unparse(node.func) == "torch.load" and said.get("weights_only") != "True":
                    wrong.append(f"{path} line {node.lineno}: torch.load without weights_only=True")
                if said.get("allow_pickle") == "True":
                    wrong.append(f"{path} line {node.lineno}: allow_pickle=True")
    assert not wrong


def functions() -> dict[str, int]:
    """`path:name` -> lines, of every function; nested ones count in their owner too."""
    return {
        f"{path}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_functions_fit_on_a_screen():
    lengths = functions()
    assert not {name: lines for name, lines in lengths.items() if lines > 40}
    assert median(lengths.values()) <= 10


def test_files_stay_short():
    lengths = {path: len((ROOT / path).read_text().splitlines()) for path in MODULES}
    assert not {path: lines for path, lines in lengths.items() if lines > 300}


def test_every_module_says_what_it_is():
    silent = [path for path, tree in MODULES.items() if tree.body and not ast.get_docstring(tree)]
    assert not silent


def test_the_command_line_answers_without_heavy_imports():
    """`fedmrg --help` must be instant: what the command line imports at once is standard library and errors."""
    seen, todo = set(), ["benchmark/cli.py"]
    while todo:
        path = todo.pop()
        seen.add(path)
        names = imports(ast.Module([node for node in MODULES[path].body if not isinstance(node, ast.If)], []))
        assert not {name.split(".")[0] for name in names} & {
            "torch",
            "ray",
            "mlflow",
            "pandas",
            "numpy",
            "transformers",
        }
        own = {f"{name.replace('.', '/')}.py" for name in names} & MODULES.keys()
        todo += sorted(own - seen)
