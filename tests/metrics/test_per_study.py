"""Per-study values: complete enough to compute every score again, and free of text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedmrg_core.errors import DataError
from fedmrg_core.metrics import java as java_module
from fedmrg_core.metrics import per_study
from fedmrg_core.metrics.catalogue import PREFIXES, find
from fedmrg_core.metrics.scorecard import scorecard
from fedmrg_core.metrics.stats import Measure, SumMeasure


@pytest.fixture
def with_heads(generations: pd.DataFrame) -> pd.DataFrame:
    """The heads wrote nothing for the unseen part."""
    states = [[1] + [0] * 13, [0, 1] + [0] * 12, [0] * 14] * 4
    known = (generations["part"] == "test").tolist()
    return generations.assign(
        labels=[[1] + [0] * 13, [0] * 14] * 6,
        head_states=[row if here else None for row, here in zip(states, known, strict=True)],
        head_probs=[[0.1 * i] * 14 if here else None for i, here in enumerate(known)],
        nll=[2.5 * i if here else np.nan for i, here in enumerate(known)],
        tokens=[1.0 + i if here else np.nan for i, here in enumerate(known)],
        cut=[float(i % 2) if here else np.nan for i, here in enumerate(known)],
        truth=[{"Pleural Effusion": ("left", i % 3)} for i in range(len(known))],
    )


def rescored(measures: list[Measure], n: int) -> dict[str, float]:
    values = {m.name: float(m.score(np.ones((1, n)), np.arange(n))[0]) for m in measures}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def of_sums(measure: SumMeasure) -> float:
    """A metric of all studies by the function that its name alone gives."""
    combine = per_study.combine_of(find(measure.name))
    assert combine is not None, measure.name
    return float(combine(measure.rows.sum(0)))


def check(frame: pd.DataFrame, path: Path) -> set[str]:
    """Every pooled score comes back, to the bit, from a Parquet file of the numbers; returns their names."""
    card = scorecard(frame, ["Lungs are clear."], resamples=0)
    card.per_study.to_parquet(path)
    back = pd.read_parquet(path)
    names: set[str] = set()
    for part in ("test", "unseen"):
        table = back[back["part"] == part]
        head = f"{part}/global/"
        measures = per_study.measures(table)
        found = rescored(measures, len(table))
        combined = {one.name: of_sums(one) for one in measures if isinstance(one, SumMeasure) and one.name in found}
        assert combined == pytest.approx({name: found[name] for name in combined})
        pooled = {key.removeprefix(head) for key in card.scores if key.startswith(head)}
        pooled = {name for name in pooled if "/" not in name and not name.startswith(tuple(PREFIXES))}
        assert found == {name: card.scores[head + name].value for name in pooled}
        names |= set(found)
    return names


def test_every_score_comes_back_from_the_numbers(java: str, with_heads: pd.DataFrame, tmp_path: Path) -> None:
    names = check(with_heads, tmp_path / "s.parquet")
    assert {"meteor", "meteor_ptb", "bleu4_ptb", "ce_f1_macro5_unc", "head_auroc", "distinct", "verbatim"} <= names


def test_without_java_and_heads_the_rest_comes_back(
    generations: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(java_module.shutil, "which", lambda name: None)
    assert "bleu4" in check(generations, tmp_path / "s.parquet")


def test_it_holds_no_text_and_says_whose_each_row_is(with_heads: pd.DataFrame) -> None:
    table = scorecard(with_heads, None, resamples=0, conventions=["r2gen"]).per_study
    texts = {*with_heads["reference"], *with_heads["hypothesis"]}
    assert not [name for name in table.columns for value in table[name] if isinstance(value, str) and value in texts]
    assert table[list(per_study.IDENTITY)].equals(with_heads[list(per_study.IDENTITY)])
    assert table["distinct_code"].nunique() == with_heads["hypothesis"].nunique()
    assert table.loc[table["part"] == "unseen", "head_accuracy"].isna().all()


def test_a_table_that_names_no_versions_is_refused(generations: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="without the versions of their metrics"):
        per_study.measures(generations)
