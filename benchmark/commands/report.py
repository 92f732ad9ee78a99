"""`fedmrg report RUN_ID image.png`: the report that a trained model writes for a film, and where it looked."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.run.options import RUNS, Options

if TYPE_CHECKING:
    from torch import Tensor

    from fedmrg_core.models.report_model import ReportModel

DRAWN = 2
"""Positive findings that get a map of their own, the likeliest first."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg report`."""
    parser.add_argument("run_id", metavar="RUN_ID", help="a finished run, as `fedmrg runs` lists it")
    parser.add_argument("image", metavar="IMAGE", type=Path, help="a film: PNG, JPEG, TIFF, GIF, BMP or WebP")
    parser.add_argument("--hospital", metavar="H", default="", help="its own model (default: the shared one)")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the picture (default: IMAGE-report.png, here)")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of the runs (default: runs/)")


def main(args: argparse.Namespace) -> int:
    """Print report and findings; draw where the encoder looked."""
    import torch

    from benchmark.run.trained import load_trained
    from fedmrg_core.data.images import read_film
    from fedmrg_core.files import write_atomic
    from fedmrg_core.models.relevance import report_relevance
    from fedmrg_core.seeding import derive_seed

    trained = load_trained(args.run_id, args.hospital, Options(runs=args.runs))
    model, config = trained.model, trained.config
    film = torch.from_numpy(read_film(args.image, config.model.image_size).copy())
    weight = config.algorithm.prompt_weight()
    adapters = lambda vision: config.algorithm.study_weights(vision, trained.client)  # noqa: E731
    seed = derive_seed(config.run.seed, "generation", args.image.name)
    made = model.generate(film[None], adapters, None, weight, config.generation, [seed])
    print(made.reports[0])
    maps = {"report": report_relevance(model, film, made.reports[0], adapters, prompted=weight != 0)}
    if made.head is not None:
        said = [f"{name}: {answer}" for name, answer in findings(made.head[0])]
        print("\n" + "\n".join(said or ["the diagnosis head leaves all 14 conditions blank"]))
        maps |= _maps(model, film, made.head[0])
    out = args.out or Path(f"{args.image.stem}-report.png")
    write_atomic(out, picture(film, maps))
    print(f"\npicture: {out} (research only, not for clinical use)")
    return 0


def _maps(model: ReportModel, film: Tensor, head: Tensor) -> dict[str, Tensor]:
    """A map for each of the likeliest positive findings; head [14, 4]."""
    from fedmrg_core.models.relevance import finding_relevance
    from fedmrg_core.types import CONDITIONS, LabelState

    positive = head[:, LabelState.POSITIVE].masked_fill(head.argmax(dim=-1) != LabelState.POSITIVE, 0)
    likeliest = [row for row in positive.argsort(descending=True).tolist() if positive[row] > 0][:DRAWN]
    each = finding_relevance(model, film)
    return {CONDITIONS[row]: each[row].clamp(min=0) for row in likeliest}


def findings(head: Tensor) -> list[tuple[str, str]]:
    """Conditions that the diagnosis head [14, 4] does not leave blank, with its answer and probability."""
    from fedmrg_core.types import CONDITIONS, LabelState

    states = [LabelState(state) for state in head.argmax(dim=-1).tolist()]
    return [
        (name, f"{state.name.lower()} ({head[row, state]:.2f})")
        for row, (name, state) in enumerate(zip(CONDITIONS, states, strict=True))
        if state != LabelState.BLANK
    ]


def picture(film: Tensor, maps: dict[str, Tensor]) -> bytes:
    """PNG: the film, and the film under each map, which is scaled by its own maximum."""
    from io import BytesIO

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    png, size = BytesIO(), film.shape[0]
    figure, axes = pyplot.subplots(1, 1 + len(maps), figsize=(3 * (1 + len(maps)), 3.3), squeeze=False)
    for axis, (title, grid) in zip(axes[0], {"film": None, **maps}.items(), strict=True):
        axis.imshow(film.numpy(), cmap="gray", vmin=0, vmax=255, extent=(0, size, size, 0))
        if grid is not None:
            top = float(grid.max()) or 1.0
            shown = (grid / top).numpy()
            axis.imshow(shown, cmap="inferno", alpha=0.5, extent=(0, size, size, 0), interpolation="bilinear")
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(png, format="png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    return png.getvalue()
