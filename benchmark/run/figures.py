"""Pictures of one run for MLflow: its curves over the rounds, its hospitals by score, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from benchmark.run.headline import of_round


def curves(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG: a panel per number of a round, over the rounds; b"" for fewer than two rounds. `rows` of rounds.jsonl."""
    points = [(int(row["round"]), of_round(row)) for row in rows]
    names = [name for name in ("train_loss", "val_ce_f1", "val_nll") if any(name in values for _, values in points)]
    if len(points) < 2 or not names:
        return b""
    figure = _figure(4.0 * len(names), 3.0)
    for axis, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        known = [(at, values[name]) for at, values in points if name in values]
        axis.plot(*zip(*known, strict=True), marker="o", markersize=3, color="#1f6f8b")
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("round", fontsize=9)
    return _png(figure)


def heat_map(hospitals: Mapping[str, Mapping[str, float]]) -> bytes:
    """PNG: hospitals by scores; colours go from a score's worst hospital to its best. b"" without hospitals."""
    names = [name for name in dict.fromkeys(n for own in hospitals.values() for n in own) if name != "studies"]
    if not names:
        return b""
    values = [[own.get(name, float("nan")) for name in names] for own in hospitals.values()]
    figure = _figure(1.6 + 1.0 * len(names), 1.0 + 0.3 * len(values))
    axis = figure.subplots()
    shades = [_scaled(column, name == "nll") for name, column in zip(names, zip(*values, strict=True), strict=True)]
    axis.imshow(list(zip(*shades, strict=True)), aspect="auto", cmap="YlGnBu", vmin=0, vmax=1.6)
    axis.set_xticks(range(len(names)), names, fontsize=8)
    axis.set_yticks(range(len(values)), [f"{name[:16]}" for name in hospitals], fontsize=8)
    for at, row in enumerate(values):
        for column, value in enumerate(row):
            axis.text(column, at, f"{value:.3f}", ha="center", va="center", fontsize=7)
    return _png(figure)


def agreement(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG: the mean cosine of each two hospitals' updates over the rounds; b"" where no row has any."""
    pairs: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        for first, second, cosine in row.get("updates", {}).get("pairs", []):
            pairs.setdefault((first, second), []).append(cosine)
    if not pairs:
        return b""
    names = sorted({name for pair in pairs for name in pair})
    mean = {pair: sum(values) / len(values) for pair, values in pairs.items()}
    values = [[1.0 if a == b else mean.get((min(a, b), max(a, b)), float("nan")) for b in names] for a in names]
    figure = _figure(1.6 + 0.6 * len(names), 1.2 + 0.5 * len(names))
    axis = figure.subplots()
    axis.imshow(values, cmap="YlGnBu", vmin=0, vmax=1.6)
    axis.set_xticks(range(len(names)), [name[:16] for name in names], fontsize=8)
    axis.set_yticks(range(len(names)), [name[:16] for name in names], fontsize=8)
    axis.set_title("cosine of updates, mean over rounds", fontsize=9)
    for at, column in ((i, j) for i in range(len(names)) for j in range(len(names))):
        axis.text(column, at, f"{values[at][column]:.2f}", ha="center", va="center", fontsize=7)
    return _png(figure)


def _scaled(column: Sequence[float], lower_is_better: bool) -> list[float]:
    """0 for the worst hospital, 1 for the best."""
    known = [value for value in column if value == value]
    low, high = min(known), max(known)
    scaled = [(value - low) / ((high - low) or 1.0) for value in column]
    return [1.0 - value for value in scaled] if lower_is_better else scaled


def _figure(width: float, height: float) -> Any:
    """Without pyplot: pictures are drawn in a background thread."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Any) -> bytes:
    figure.savefig(buffer := BytesIO(), format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()
