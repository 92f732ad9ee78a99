"""`fedmrg tune`: the same budget for every algorithm, on validation; the choice is used by `--tuned`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.cli import main
from benchmark.run import settings
from benchmark.suites import execute, tuning
from benchmark.suites.execute import Outcome
from benchmark.suites.plan import Task
from fedmrg_core.errors import ConfigError

SCORES = {"nll": [1.0, 0.9, 0.9, 1.2, 1.0, 1.1], "ce_f1_micro14": [0.5, 0.6, 0.5, 0.4, 0.4, 0.4]}
"""By trial. Sums of ranks with BLEU-4 alike: 2 + 1, 0 + 0, 0 + 1, ..: the second is best."""


@pytest.fixture(name="tried")
def _tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """The tasks that were run; results go into a folder of the test."""
    tasks: list[Task] = []

    def run_one(task: Task, *given: Any) -> Outcome:
        at = [trial.task for trial in tuning.trials(tuning.Search.load(), task.algorithm)].index(task)
        tasks.append(task)
        values = {"bleu4": 0.1, **{key: column[at] for key, column in SCORES.items()}}
        scores = {f"val/personal/{key}": {"value": value} for key, value in values.items()}
        return Outcome(task, "finished", result={"scores": scores})

    monkeypatch.setattr(execute, "run_one", run_one)
    file = settings.tuned_file
    monkeypatch.setattr(settings, "tuned_file", lambda algo, preset: tmp_path / file(algo, preset).name)
    return tasks


def test_the_best_trial_on_validation_is_chosen_and_used(
    tried: list[Task], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", "fedprox"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "chosen: train.lr = 0.001, algorithm.mu = 0.1"
    config = settings.load("fedprox", tuned=True)
    assert (config.train.lr, config.algorithm.mu) == (0.001, 0.1)  # type: ignore[attr-defined]
    for task in tried:
        evaluated = task.config()
        assert evaluated.evaluate.parts == ("val",)
        assert evaluated.train.rounds == settings.load("fedprox").train.rounds // 2
    assert len(json.loads((tmp_path / "fedprox.trials.json").read_text())) == len(tried) == 6
    assert main(["tune", "fedprox"]) == 0
    assert len(tried) == 6, "what was run is not run again"


def test_equal_scores_leave_the_defaults(tried: list[Task], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCORES, "nll", [1.0] * 6)
    monkeypatch.setitem(SCORES, "ce_f1_micro14", [0.5] * 6)
    assert main(["tune", "fedlora"]) == 0
    assert settings.load("fedlora", tuned=True).hash() == settings.load("fedlora").hash()


def test_every_algorithm_has_as_many_trials_and_begins_with_its_defaults() -> None:
    search = tuning.Search.load()
    for name in settings.algorithm_names():
        if settings.load(name).algorithm.trains:
            found = tuning.trials(search, name)
            assert len(found) == search.budget, name
            plain = settings.load(name, search.split, search.preset, search.seed, [*found[0].task.overrides[:3]])
            assert plain.hash() == found[0].task.config().hash(), name


def test_a_grid_of_another_size_is_refused(tmp_path: Path) -> None:
    text = tuning.SEARCH.read_text().replace('"algorithm.mu" = [0.01, 0.1, 1.0]', '"algorithm.mu" = [0.01, 0.1]', 1)
    (tmp_path / "tuning.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"grid fedprox has 4 points; all have 6"):
        tuning.Search.load(tmp_path / "tuning.toml")


@pytest.mark.parametrize(
    ("words", "said"),
    [(["tune", "fedproks"], "Did you mean 'fedprox'"), (["tune", "constant"], "'constant' does not train")],
)
def test_a_mistake_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err
