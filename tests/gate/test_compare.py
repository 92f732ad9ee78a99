"""What counts as moved, and when that is too far."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmark.gate import golden, report
from benchmark.gate.compare import compare, other_facts
from benchmark.gate.expectations import Measured, Numbers, as_text, read, with_spread
from benchmark.gate.trajectory import group_of, step_weights
from fedmrg_core.errors import DataError
from fedmrg_core.types import CONDITIONS

TEXTS = [f"{number:04x}" for number in range(40)]
VALUES = {"round1/loss": 2.0, "test/global/nll": 1.0, "test/global/bleu4": 0.25, "test/global/head_auroc": 0.9}
RUN = Numbers(
    {"steps": 10}, {"params_sha256": "a" * 64, "labels_sha256": "b" * 64}, TEXTS, VALUES, {"round1/loss": 1e-4}
)
HERE = {"model": "cpu family 25", "torch": "2.13.0"}
FACTS = {"bench_version": "2", "suite": "gate", "git_sha": "c" * 40}
EXPECTED = Measured(FACTS, HERE, {"No edema.": "0" * 14}, {"one": RUN}, ("kernels of AVX",))


def measured(machine: dict[str, str] = HERE, **changes: Any) -> Measured:
    """The expectations with a changed run, on a machine."""
    return replace(EXPECTED, machine=machine, runs={"one": replace(RUN, spread={}, **changes)})


def elsewhere(**changes: Any) -> Measured:
    return measured({**HERE, "model": "cpu family 6"}, **changes)


def far(now: Measured) -> dict[str, bool]:
    """Key -> whether it moved too far, of everything that moved."""
    return {move.key: move.too_far for move in compare(EXPECTED, now)}


def values(**changes: float) -> dict[str, dict[str, float]]:
    keys = {key.rpartition("/")[2]: key for key in VALUES}
    return {"values": VALUES | {keys[name]: value for name, value in changes.items()}}


def flipped(count: int) -> dict[str, list[str]]:
    return {"texts": ["ffff"] * count + TEXTS[count:]}


def test_an_equal_run_moves_nothing() -> None:
    assert far(measured()) == far(elsewhere()) == {}


def test_the_machines_differences_are_named() -> None:
    assert other_facts(EXPECTED, elsewhere()) == ["model: cpu family 6, expected cpu family 25"]


@pytest.mark.parametrize("name", ["loss", "nll", "bleu4", "head_auroc"])
def test_on_the_same_machine_a_number_is_equal_to_a_part_in_a_billion(name: str) -> None:
    value = next(value for key, value in VALUES.items() if key.endswith(name))
    (key,) = far(measured(**values(**{name: value * (1 + 2e-9)})))
    assert key.endswith(name)
    assert far(measured(**values(**{name: value * (1 + 1e-10)}))) == {}


@pytest.mark.parametrize(
    ("name", "near", "beyond"),
    [("loss", 2.0009, 2.0011), ("nll", 1.00045, 1.00055), ("head_auroc", 0.908, 0.91), ("bleu4", 0.25 + 1e-11, 0.2501)],
)
def test_elsewhere_a_number_may_move_by_ten_times_its_spread(name: str, near: float, beyond: float) -> None:
    assert not any(far(elsewhere(**values(**{name: near}))).values())
    assert list(far(elsewhere(**values(**{name: beyond}))).values()) == [True]


def test_elsewhere_few_reports_may_differ_and_their_scores_with_them() -> None:
    two = flipped(2) | values(bleu4=0.27) | {"bits": {**RUN.bits, "labels_sha256": "d" * 64}}
    assert not any(far(elsewhere(**two)).values())
    assert far(elsewhere(**flipped(2) | values(bleu4=0.31)))["test/global/bleu4"]
    assert far(elsewhere(**flipped(3)))["reports that differ, of 40"]
    assert far(measured(**flipped(1)))["reports that differ, of 40"]


def test_a_number_without_a_useful_tolerance_is_not_compared_elsewhere() -> None:
    three = elsewhere(**flipped(3) | values(bleu4=0.9))
    (move,) = [move for move in compare(EXPECTED, three) if move.key.endswith("bleu4")]
    assert (move.tolerance, move.too_far) == (None, False)


def test_hashes_of_parameters_count_on_the_same_machine_only() -> None:
    other = {"bits": {**RUN.bits, "params_sha256": "d" * 64}}
    assert far(measured(**other)) == {"params_sha256": True}
    assert far(elsewhere(**other)) == {"params_sha256": False}


def test_equal_texts_have_equal_labels_everywhere() -> None:
    assert far(elsewhere(bits={**RUN.bits, "labels_sha256": "d" * 64})) == {"labels_sha256": True}


def test_facts_and_golden_labels_are_equal_everywhere() -> None:
    assert far(elsewhere(exact={"steps": 11})) == {"steps": True}
    assert far(replace(elsewhere(), labeler={"No edema.": "1" + "0" * 13})) == {"No edema.": True}
    assert far(replace(elsewhere(), facts={**FACTS, "bench_version": "3"})) == {"bench_version": True}


def test_a_missing_number_or_run_is_refused_and_a_new_number_is_not() -> None:
    less, more = dict(VALUES), {**VALUES, "test/global/new": 1.0}
    del less["test/global/bleu4"]
    assert far(measured(values=less)) == {"test/global/bleu4": True}
    assert far(measured(values=more)) == {"test/global/new": False}
    assert far(replace(measured(), runs={})) == {"run": True}


def test_a_file_is_read_as_it_was_written(tmp_path: Any) -> None:
    variants = {"v": elsewhere(**values(nll=1.5) | flipped(4))}
    made = with_spread(measured(), variants)
    assert (made.runs["one"].spread, made.runs["one"].flips) == ({"test/global/nll": 0.5}, 4)
    (tmp_path / "gate.json").write_text(as_text(made))
    assert read(tmp_path / "gate.json") == replace(made, spread_of=("v",))


@pytest.mark.parametrize("content", ["{", "[]", '{"schema_version": 2}', '{"schema_version": 1, "runs": {}}'])
def test_a_damaged_file_is_named(tmp_path: Any, content: str) -> None:
    (tmp_path / "gate.json").write_text(content)
    with pytest.raises(DataError, match=r"gate\.json"):
        read(tmp_path / "gate.json")


def test_a_clients_weight_is_read_from_the_servers_step() -> None:
    import torch

    deltas = {
        name: {"w": torch.randn(50, generator=torch.Generator().manual_seed(seed))} for seed, name in enumerate("ab")
    }
    moved = {"w": 0.75 * deltas["a"]["w"] + 0.25 * deltas["b"]["w"]}
    assert step_weights(moved, deltas) == pytest.approx({"a": 0.75, "b": 0.25}, abs=1e-6)


def test_a_lora_factor_is_a_group_of_its_own() -> None:
    assert group_of("lm.layers.1.self_attn.v_proj.lora_B.specialised.weight") == "lm.specialised.B"


def test_the_golden_sentences_show_every_condition_in_three_states() -> None:
    seen = {(at, state) for labels in golden.labels().values() for at, state in enumerate(labels)}
    assert {(at, state) for at in range(len(CONDITIONS) - 1) for state in "0123"} <= seen | {(12, "3")}


def outcome(now: Measured) -> report.Report:
    return report.Report(FACTS["git_sha"], other_facts(EXPECTED, now), ["one"], compare(EXPECTED, now))


def test_the_text_says_what_was_promised_and_marks_what_moved_too_far() -> None:
    text = report.as_text(outcome(elsewhere(**values(loss=2.1), bits={**RUN.bits, "params_sha256": "d" * 64})))
    assert "1 runs against cccccccccc: 2 moved, 1 too far" in text
    assert "another machine" in text
    assert "model: cpu family 6, expected cpu family 25" in text
    assert "!   round1/loss" in text
    assert (
        "  one: 1 moved within tolerance, params_sha256 furthest (0.0% of it); 1 not compared on this machine" in text
    )
    near = report.as_text(outcome(elsewhere(**values(loss=2.0005, nll=1.00045))))
    assert "  one: 2 moved within tolerance, test/global/nll furthest (90.0% of it)" in near


def test_markdown_has_a_table_of_what_moved_too_far() -> None:
    text = report.as_markdown(outcome(measured(**values(loss=2.1))))
    assert "| one | round1/loss | 2 | 2.1 | 2e-09 |" in text
    assert "the same machine type" in text


def test_junit_has_a_case_per_run_and_kind() -> None:
    suite = ElementTree.fromstring(report.as_junit(outcome(measured(**values(loss=2.1)))))
    assert suite.attrib == {"name": "fedmrg regress", "tests": "7", "failures": "1", "errors": "0"}
    failed = [case.attrib for case in suite if case.find("failure") is not None]
    assert failed == [{"classname": "regress.one", "name": report.KINDS["rounds"]}]


def test_what_could_not_run_is_an_error() -> None:
    one = report.Report(error="no data")
    assert ElementTree.fromstring(report.as_junit(one)).attrib["errors"] == "1"
    assert "could not run: no data" in report.as_text(one)
    assert "could not run: no data" in report.as_markdown(one)
