"""`fedmrg base build|verify|list`: the warmed-up bases that come with the repository, and those in the cache.

    fedmrg base list
    fedmrg base verify --files            # seconds: only the hashes of the shipped files
    fedmrg base verify --draw 0           # minutes: warms the base up again and compares the weights
    fedmrg base build --draw 3 --to DIR   # minutes; without --to into the cache
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.run.options import CACHE
from fedmrg_core.errors import ConfigError, DataError
from fedmrg_core.paths import ROOT

if TYPE_CHECKING:
    from fedmrg_core.data.source import Source
    from fedmrg_core.models.config import ModelConfig

ACTIONS = ("build", "verify", "list")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg base`."""
    add = parser.add_argument
    add("action", choices=ACTIONS, help="build: warm a base up; verify: compare the shipped one; list: all there are")
    add("--draw", type=int, default=None, metavar="N", help="draw of the data, from 0 (default: 0; list, --files: all)")
    add("--preset", default="tiny", metavar="NAME", help="whose [model] settings (default: tiny)")
    add("--files", action="store_true", help="verify: only the hashes of the shipped files, in a second")
    add("--to", type=Path, metavar="DIR", help="build: folder to be made (default: the cache)")
    add("--cache", type=Path, default=CACHE, help="folder of the cache (default: .cache/)")


def main(args: argparse.Namespace) -> int:
    """Returns 1 where a base does not verify."""
    if args.draw is not None and args.draw < 0:
        raise ConfigError(f"--draw {args.draw} is out of range; allowed: 0 or more.")
    if args.action == "list":
        return _list(args)
    if args.action == "build":
        return _build(args)
    return _verify_files(args) if args.files else _verify_weights(args)


def _list(args: argparse.Namespace) -> int:
    print(f"{'key':<22}{'draw':>5}  {'where':<10}{'built at':<10}{'CPU s':>7}  files")
    for where, folder in (("shipped", _shipped()), ("cache", args.cache / "bases")):
        for base in _bases(folder, args.draw):
            facts, state = _state(base)
            recipe = facts.get("recipe", {})
            built = f"{str(recipe.get('git_sha', ''))[:7] or '-':<10}{recipe.get('cpu_seconds') or '-':>7}"
            print(f"{base.name:<22}{facts.get('seed', '-'):>5}  {where:<10}{built}  {state}")
    return 0


def _verify_files(args: argparse.Namespace) -> int:
    states = {base.name: _state(base)[1] for base in _bases(_shipped(), args.draw)}
    for name, state in states.items():
        print(f"{name}: {state}")
    print(f"{len(states)} shipped bases, {sum(state != 'ok' for state in states.values())} damaged")
    return int(any(state != "ok" for state in states.values()))


def _verify_weights(args: argparse.Namespace) -> int:
    from fedmrg_core.engine.base_cache import build, check_base, find_shipped

    config, corpus, draw, key = _wanted(args)
    shipped = find_shipped(key)
    if shipped is None:
        raise DataError(f"no base with key {key} is shipped for draw {draw} of preset {args.preset}: see `base list`")
    facts = check_base(shipped)
    took = facts["recipe"].get("cpu_seconds") or "some 600"
    print(f"warming up draw {draw} again, which needs {took} CPU seconds", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="fedmrg-base-") as folder:
        again = Path(folder) / key
        build(again, config, corpus, draw, sys.stderr.isatty(), _made_by())
        if check_base(again)["sha256"] == facts["sha256"]:
            print(f"{key}: the same bits")
            return 0
        print(f"{key}: other bits than the shipped weights. Largest differences:")
        for group, value, size in differences(shipped, again):
            print(f"  {group:<16}{value:.3g} (largest weight {size:.3g})")
    print(f"Another processor or library version gives other bits; it was built on: {facts['recipe'].get('machine')}")
    return 1


def _build(args: argparse.Namespace) -> int:
    from fedmrg_core.engine.base_cache import build, ensure_base

    config, corpus, draw, key = _wanted(args)
    progress = sys.stderr.isatty()
    if args.to is None:
        nothing = args.cache / "no-shipped-bases"
        folder = ensure_base(config, corpus, draw, args.cache, progress, _made_by(), shipped=nothing)
    elif args.to.exists():
        raise ConfigError(f"--to {args.to} exists already; name a folder that does not.")
    else:
        folder = args.to
        build(folder, config, corpus, draw, progress, _made_by())
    print(f"{folder}: base {key}, draw {draw}, preset {args.preset}")
    return 0


def differences(one: Path, other: Path) -> list[tuple[str, float, float]]:
    """(group of tensors, largest absolute difference, largest weight) of two bases; groups by the model's parts."""
    from safetensors.torch import load_file

    first, second = (load_file(folder / "base.safetensors") for folder in (one, other))
    if {name: t.shape for name, t in first.items()} != {name: t.shape for name, t in second.items()}:
        raise DataError("holds other tensors than the base it is compared with", str(other))
    found: dict[str, tuple[float, float]] = {}
    for name, tensor in first.items():
        group, before = name.split(".")[0], found.get(name.split(".")[0], (0.0, 0.0))
        if tensor.numel():
            change = (tensor.double() - second[name].double()).abs().max()
            found[group] = max(before[0], float(change)), max(before[1], float(tensor.double().abs().max()))
    return [(group, *values) for group, values in sorted(found.items())]


def _wanted(args: argparse.Namespace) -> tuple[ModelConfig, Source, int, str]:
    """Model settings, corpus, draw and key of the base that the options name."""
    from benchmark.run import settings
    from benchmark.run.stages import public_corpus
    from fedmrg_core.engine.base_cache import find_key

    config, draw = settings.load("fedmrg", preset=args.preset).model, args.draw or 0
    corpus = public_corpus(config, draw)
    return config, corpus, draw, find_key(config, corpus, draw, args.cache)


def _made_by() -> dict[str, Any]:
    from benchmark.run import provenance
    from benchmark.run.stages import BASE_FACTS

    facts = provenance.collect(ROOT, "cpu")
    return {name: facts[name] for name in BASE_FACTS}


def _shipped() -> Path:
    from fedmrg_core.engine import base_cache

    return base_cache.SHIPPED


def _bases(folder: Path, draw: int | None) -> Iterable[Path]:
    """The folders of bases in a folder, those of one draw or all."""
    found = sorted(path.parent for path in folder.glob("[!.]*/base.json"))
    return [base for base in found if draw is None or _state(base)[0].get("seed") == draw]


def _state(base: Path) -> tuple[dict[str, Any], str]:
    """The facts of a base, and "ok" or what is wrong with its files."""
    from fedmrg_core.engine.base_cache import check_base

    try:
        return check_base(base), "ok"
    except DataError as error:
        return {}, str(error)
