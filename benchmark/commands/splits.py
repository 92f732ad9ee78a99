"""`fedmrg splits make|verify|describe [NAME ..] [--data DIR]`: the fixed splits under splits/.

make rebuilds the named splits (or all) from splits/recipes.toml where their data is present; verify runs the recipes
again and compares every hash; describe says how different the hospitals are, beside a random deal; `manifest` is the
data root's own.
"""

from __future__ import annotations

import argparse
import tomllib
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.board.plots import measures_picture
from benchmark.run.options import CACHE
from fedmrg_core.data import catalogue
from fedmrg_core.data.config import DataConfig
from fedmrg_core.data.plan import plan_for
from fedmrg_core.data.source import Source
from fedmrg_core.data.splits import make, split_file
from fedmrg_core.errors import DataError, choose
from fedmrg_core.files import check_output, replacing

if TYPE_CHECKING:
    from fedmrg_core.data.describe import Measure, SplitSample

FILM_SIZE = 64
"""Pixels per side at which films are compared."""
DEFAULTS = Path(__file__).parents[1] / "configs" / "defaults.toml"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg splits`."""
    parser.add_argument("action", choices=("make", "verify", "describe"), help="what to do")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="splits, such as phantom/group; none: all of them; describe: also manifest",
    )
    parser.add_argument("--data", default="", metavar="DIR", help="the data root of splits of real data")
    parser.add_argument("--png", type=Path, metavar="FILE", help="describe: also draw it")
    parser.add_argument("--root", type=Path, default=split_file.SPLITS, metavar="DIR", help="folder of the split files")


def main(args: argparse.Namespace) -> int:
    """Run the action over the splits; 1 where a verification fails."""
    if args.png:
        check_output(args.png)
    known = sorted(make.recipes(args.root))
    allowed = [*known, "manifest"] if args.action == "describe" else known
    wanted = [choose("split", name, allowed) for name in args.names] or known
    data = settings(args.data)
    if args.action == "make":
        return _make(wanted, data, args)
    if args.action == "describe":
        return _describe(wanted, data, args.png)
    opened = _Opened(data)
    return max(_verify(name, data, args.root, opened) for name in wanted)


def settings(path: str) -> DataConfig:
    """The `[data]` section of defaults.toml with this data root."""
    with DEFAULTS.open("rb") as file:
        return replace(DataConfig(**tomllib.load(file)["data"]), path=path)


def has_data(dataset: str, data: DataConfig) -> bool:
    """Whether this data set can be opened with the data root given."""
    if catalogue.get(dataset).detect is None:
        return True
    return bool(data.path) and catalogue.detect(Path(data.path)) == dataset


class _Opened:
    """Opens each data set and draw once."""

    def __init__(self, data: DataConfig) -> None:
        self._data, self._sources = data, dict[str, Source]()

    def __call__(self, dataset: str, seed: int, knobs: catalogue.Knobs | None) -> Source:
        key = repr((dataset, seed, knobs))
        if key not in self._sources:
            self._sources[key] = catalogue.open_data_set(dataset, self._data, seed, knobs)
        return self._sources[key]


def _make(wanted: list[str], data: DataConfig, args: argparse.Namespace) -> int:
    open_source = _Opened(data)
    for name in wanted:
        if has_data(make.recipes(args.root)[name]["dataset"], data):
            made = make.make(name, open_source, args.root)
        elif name not in split_file.names(args.root) or split_file.load(name, args.root).status == "recipe-only":
            made = make.recipe_only(name, args.root)
        else:
            print(f"{name}: unchanged: its data is absent (give it with --data)")
            continue
        split_file.save(made, args.root)
        counts = ", ".join(_size(draw) for draw in made.draws)
        print(f"{name}: version {made.version}, {made.status}, {counts}")
    return 0


def _describe(wanted: list[str], data: DataConfig, png: Path | None) -> int:
    """Print a table per split; 1 where none could be described."""
    from fedmrg_core.data.describe import describe

    found: dict[str, list[Measure]] = {}
    for name in wanted:
        if not has_data(name.split("/")[0], data):
            print(f"{name}: not described: data absent (give it with --data)")
            continue
        generated = catalogue.get(name.split("/")[0]).detect is None
        sample = _sample(name, replace(data, path="") if generated else data)
        found[name] = describe(sample)
        used = sample.hospital[sample.hospital >= 0]
        print(f"{name}: {len(used)} studies, {len(set(used.tolist()))} hospitals")
        for one in found[name]:
            chance = f"random deal {one.random:.3f}, at most {one.random_high:.3f}"
            print(f"  {one.name:<8}{one.value:8.3f} {one.unit:<5} {chance}")
        if sample.films is None:
            print("  films   not compared: none found")
        _twins(name)
    if png and found:
        _draw(found, png)
        print(f"drawn: {png}")
    return 0 if found else 1


def _sample(name: str, data: DataConfig) -> SplitSample:
    """A split's studies with their films, or without where the data root holds none."""
    from fedmrg_core.data.cache.prepare import prepare
    from fedmrg_core.data.describe import sample_of_federation, sample_of_texts

    plan = plan_for(data, name, 0, None)
    if not plan.source.has_films():
        studies = plan.source.studies()
        return sample_of_texts(studies, plan.assign(studies))
    return sample_of_federation(prepare(data, name, 0, FILM_SIZE, CACHE, None, progress=True))


def _twins(name: str) -> None:
    """Print how many test reports are in training too, by the split's file."""
    counts = split_file.load(name).draws[0].overlap if name != "manifest" else {}
    if counts:
        twins = (
            f"{counts['test_verbatim']} of {counts['test']} word for word, {counts['test_near']} with near-duplicates"
        )
        print(f"  twins   of test reports in training, as the split's file says: {twins}")


def _draw(found: dict[str, list[Measure]], png: Path) -> None:
    """One picture, a row of panels per data set: data sets may have different measures."""
    from PIL import Image

    rows = []
    for dataset in dict.fromkeys(name.split("/")[0] for name in found):
        png_bytes = measures_picture({name: found[name] for name in found if name.split("/")[0] == dataset})
        with Image.open(BytesIO(png_bytes)) as drawn:
            rows.append(drawn.convert("RGB"))
    whole = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)), "white")
    for at, row in enumerate(rows):
        whole.paste(row, (0, sum(above.height for above in rows[:at])))
    with replacing(png) as temporary:
        whole.save(temporary, format="PNG")


def _size(draw: split_file.SplitDraw) -> str:
    if draw.sha256 is None:
        return "no draw made yet"
    studies = sum(sum(parts.values()) for parts in draw.counts.values())
    twins = f"{draw.overlap['test_verbatim']} of {draw.overlap['test']} test reports also in training"
    return f"{studies} studies {draw.sha256[:12]} ({twins})"


def _verify(name: str, data: DataConfig, root: Path, opened: _Opened) -> int:
    split = split_file.load(name, root)
    if split.recipe != make.recipe_of(name, root):
        print(f"{name}: FAILED: splits/recipes.toml says another recipe than the split's file")
        return 1
    if not has_data(split.dataset, data):
        own = "; its ids match their own hash" if make.check_ids(split) else ""
        print(f"{name}: not verifiable here: data absent{own}")
        return 0
    if opened(split.dataset, split.draws[0].seed, split.knobs).partial:
        print(f"{name}: not verifiable here: R2Gen's part of the data only; its ids match their own hash")
        return 0
    try:
        make.verify(split, opened)
    except DataError as error:
        print(f"{name}: FAILED: {error}")
        return 1
    print(f"{name}: verified ({len(split.draws)} draw{'s' if len(split.draws) > 1 else ''})")
    return 0
