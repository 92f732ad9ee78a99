"""The rules of docs/architecture.md, checked on syntax trees: imports, the one training loop, pickling, sizes."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath
from statistics import median

import pytest

from benchmark.board.results import TRIVIAL
from fedmrg_core.paths import ROOT
from tests.pages import PAGES, text

PACKAGES = ("fedmrg_core", "benchmark")

LAYERS: dict[str, list[set[str]]] = {
    # a folder's files and sub-folders, lowest layer first; each imports its own layer and those below, never above.
    # "*": the other files
    "fedmrg_core": [
        {"errors", "paths", "files", "hashes", "registration", "types", "tree", "duration", "seeding", "adapter_names"},
        {"data", "models", "codec", "metrics", "wheels"},
        {"algorithms"},
        {"engine"},
        {"evaluate", "tracking", "runfolder"},
    ],
    "fedmrg_core/engine": [{"memory"}, {"*"}, {"ray"}],
    "benchmark": [
        {"bootstrap"},
        {"scoring", "board"},
        {"run"},
        {"suites", "reading"},
        {"gate"},
        {"commands"},
        {"perf", "cli"},
    ],
}
ONLY_IN = {  # a package -> the only places that import it
    "ray": tuple(f"fedmrg_core/engine/ray/{name}.py" for name in ("instance", "placement", "pool")),
    "mlflow": ("fedmrg_core/tracking/client.py", "fedmrg_core/tracking/store.py"),
    "peft": ("fedmrg_core/models/tuning.py",),
}


def modules() -> dict[str, ast.Module]:
    """Path from the project folder -> syntax tree, of every module."""
    paths = sorted(itertools.chain.from_iterable((ROOT / package).rglob("*.py") for package in PACKAGES))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in paths}


MODULES = modules()


def imports(tree: ast.Module) -> set[str]:
    """Dotted names of everything a module imports, also inside functions; `from a import b` counts as a and a.b."""
    return _imported(ast.walk(tree))


def imports_at_run_time(tree: ast.AST) -> set[str]:
    """As `imports`, without what only the type checker imports."""
    names = set()
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            names |= _imported([node]) | imports_at_run_time(node)
    return names


def _imported(nodes: Iterable[ast.AST]) -> set[str]:
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages(tree: ast.Module) -> set[str]:
    return {name.split(".")[0] for name in imports(tree)}


def core_parts(tree: ast.Module) -> set[str]:
    """Parts of fedmrg_core that a module imports."""
    return {name.split(".")[1] for name in imports(tree) if name.startswith("fedmrg_core.")} & CHILDREN["fedmrg_core"]


def child_of(folder: str, path: str) -> str | None:
    """The file or sub-folder directly in `folder` that a path belongs to; None outside it."""
    parts, above = PurePosixPath(path).parts, PurePosixPath(folder).parts
    return parts[len(above)].removesuffix(".py") if parts[: len(above)] == above and len(parts) > len(above) else None


FOLDERS = sorted({parent.as_posix() for path in MODULES for parent in PurePosixPath(path).parents} - {"."})
CHILDREN = {f: {c for path in MODULES if (c := child_of(f, path)) and c != "__init__"} for f in FOLDERS}
IMPORTED = {  # module -> the project's modules that it imports at run time
    path: {file for name in imports_at_run_time(tree) if (file := f"{name.replace('.', '/')}.py") in MODULES} - {path}
    for path, tree in MODULES.items()
}


def arrows(folder: str) -> dict[str, set[str]]:
    """File or sub-folder of a folder -> the others in it that it imports."""
    found: dict[str, set[str]] = {child: set() for child in CHILDREN[folder]}
    for path, others in IMPORTED.items():
        if (child := child_of(folder, path)) in found:
            found[str(child)] |= {c for other in others if (c := child_of(folder, other)) and c != child}
    return found


def calls(tree: ast.Module) -> set[str]:
    """Dotted texts of everything that is called: `loss.backward`, `self.optimizer.step`, `torch.load` .."""
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("folder", sorted(LAYERS))
def test_imports_go_down_only(folder: str) -> None:
    layer = {child: at for at, children in enumerate(LAYERS[folder]) for child in children}
    named = CHILDREN[folder] if "*" not in layer else layer.keys() - {"*"}
    assert layer.keys() - {"*"} == named, "a file or folder without a layer, or a layer of none"
    wrong = [
        f"{child} imports {other}"
        for child, others in arrows(folder).items()
        for other in others
        if layer.get(other, layer.get("*", 0)) > layer.get(child, layer.get("*", 0))
    ]
    assert not wrong


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_import_circle(folder: str) -> None:
    """Among the files and sub-folders of a folder."""
    try:
        TopologicalSorter(arrows(folder)).prepare()
    except CycleError as error:
        pytest.fail(f"{folder}: {' -> '.join(error.args[1])}")


def test_the_core_knows_nothing_of_the_benchmark() -> None:
    assert not [p for p, tree in MODULES.items() if p.startswith("fedmrg_core/") and "benchmark" in packages(tree)]


@pytest.mark.parametrize("package", sorted(ONLY_IN))
def test_few_files_import(package: str) -> None:
    assert {path for path, tree in MODULES.items() if package in packages(tree)} == set(ONLY_IN[package])


def test_algorithms_touch_neither_data_nor_engine_nor_tools() -> None:
    barred = {"data", "engine", "evaluate", "tracking", "runfolder"}
    wrong = [
        f"{path} imports {sorted(found)}"
        for path, tree in MODULES.items()
        if path.startswith("fedmrg_core/algorithms/")
        and (found := (core_parts(tree) & barred) | (packages(tree) & {"ray", "mlflow", "peft", "transformers"}))
    ]
    assert not wrong


def test_shared_code_names_no_algorithm() -> None:
    """A new algorithm is one file and one config: the engine, the models and the loop never ask for a name."""
    names = {path.stem.replace("_", "-") for path in (ROOT / "benchmark/configs/algos").glob("*.toml")} - set(TRIVIAL)
    names |= {name.replace("-", "_") for name in names}
    run = [f"benchmark/run/{name}.py" for name in ("experiment", "stages", "workers")]
    shared = ("fedmrg_core/engine/", "fedmrg_core/models/", "fedmrg_core/evaluate.py", *run)
    wrong = [
        f"{path} line {node.lineno}: '{node.value}'"
        for path, tree in MODULES.items()
        if path.startswith(shared)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert not wrong


def test_one_optimiser_loop() -> None:
    def loops(tree: ast.Module) -> bool:
        return any(name.endswith((".backward", "optimizer.step", "optimiser.step")) for name in calls(tree))

    assert {path for path, tree in MODULES.items() if loops(tree)} == {"fedmrg_core/engine/trainer.py"}


def test_nothing_unpickles_what_it_reads() -> None:
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


def test_functions_fit_on_a_screen() -> None:
    lengths = functions()
    assert not {name: lines for name, lines in lengths.items() if lines > 40}
    assert median(lengths.values()) <= 10


def test_files_stay_short() -> None:
    lengths = {path: len((ROOT / path).read_text().splitlines()) for path in MODULES}
    assert not {path: lines for path, lines in lengths.items() if lines > 300}


def test_every_module_says_what_it_is() -> None:
    silent = [path for path, tree in MODULES.items() if tree.body and not ast.get_docstring(tree)]
    assert not silent


PRIVATE_WORDS = {"shelf", "stow", "stowed", "room", "judge", "sight", "piece", "door", "place", "places", "anew"}
"""Words that once meant something in this project only."""
STORED_NAMES = {"letter_place"}
"""Fields whose names are part of a content hash."""


def public_names(tree: ast.Module) -> set[str]:
    """Names of classes, functions, arguments and fields, without private ones and local variables."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names - STORED_NAMES if not name.startswith("_")}


def test_public_names_are_words_of_the_field() -> None:
    wrong = [
        f"{path}: {name}"
        for path, tree in MODULES.items()
        for name in sorted(public_names(tree))
        if set(re.findall("[a-z]+", re.sub("([a-z])([A-Z])", r"\1_\2", name).lower())) & PRIVATE_WORDS
    ]
    assert not wrong


def test_the_command_line_answers_without_heavy_imports() -> None:
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


def test_code_and_pages_name_only_documents_of_this_repository() -> None:
    sources = {**{path: (ROOT / path).read_text() for path in MODULES}, **{page: text(page) for page in PAGES}}
    sources |= {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "tests").rglob("*.py")}
    known = {PurePosixPath(page).name for page in PAGES}
    wrong = [
        f"{path}: {name}"
        for path, content in sources.items()
        for name in re.findall(r"\b(?:[A-Z]\w+|[a-z][\w-]+)\.md\b(?!\.)", content)
        if name not in known
    ]
    section = re.compile(r"[A-Z]{5} (?:section|rule) \d")
    wrong += [f"{path}: {said}" for path, content in sources.items() for said in section.findall(content)]
    assert not wrong
