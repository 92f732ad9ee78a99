"""Splits of credentialed data: their first holder fills the recipe in, without ids."""

from __future__ import annotations

import pytest
from trees import Tree

from fedmrg_core.data import catalogue, plan
from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.data.splits import make, split_file

TEXT = "The heart is enlarged. There is no pleural effusion."


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "mimic").mkdir()
    return Tree(tmp_path / "mimic")


def test_the_first_holder_fills_a_recipe_in_without_ids(tree, change, tmp_path, monkeypatch):
    for at in range(240):
        tree.add(
            10000000 + at,
            50000000 + at,
            ["PA"],
            report=f" FINDINGS: Line {at} of {at}.",
            part=("train", "test")[at % 2],
        )
    data = change(path=str(tree.write()))
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "recipes.toml").write_text((split_file.SPLITS / "recipes.toml").read_text("utf-8"), "utf-8")
    monkeypatch.setattr(plan, "SPLITS", tmp_path / "splits")
    for name in ("mimic_cxr/group", "mimic_cxr/ci"):
        open_source = lambda dataset, seed, knobs: catalogue.open_data_set(dataset, data, seed, knobs)  # noqa: E731
        made = make.make(name, open_source, tmp_path / "splits")
        path = split_file.save(made, tmp_path / "splits")
        assert made.draws[0].sha256
        assert made.draws[0].data_sha256 is None
        assert "s5000" not in path.read_text("utf-8")
        make.verify(split_file.load(name, tmp_path / "splits"), open_source)
    federation = prepare(data, "mimic_cxr/ci", 0, 8, tmp_path / "cache", None, False)
    assert [sum(map(len, h.rows.values())) for h in federation.hospitals] == [40, 40, 40, 30]
    for name in ("mimic_cxr/group", "mimic_cxr/arbitrary", "mimic_chexpertplus/iu_unseen"):
        committed = split_file.load(name)
        assert committed.status == "recipe-only"
        assert committed.draws[0].sha256 is None
        assert committed.draws[0].counts == {}
