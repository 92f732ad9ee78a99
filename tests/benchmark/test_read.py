"""`fedmrg read`: films, references and reports on one page, from runs whose files these tests make without training."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark import cli
from benchmark.board.view import FORMALISATION
from benchmark.reading import render as rendering
from benchmark.reading import runs as reading_runs
from benchmark.reading.page import film_uri, report_column
from benchmark.reading.studies import Study, Text, choose_studies
from fedmrg_core.data.cache.federation import Federation
from fedmrg_core.runfolder import CONFIG, RunFolder
from fedmrg_core.types import CONDITIONS, LabelState
from tests.benchmark.test_board_html import Outline
from tests.toy import federation, toy_config

HOSTILE = '<script>alert("1")</script>\u202e" onerror=x </article> Pulmonary edema.'
Make = Callable[..., str]


def generations(data: Federation, text: str) -> pd.DataFrame:
    """A run's table: `text` in the view that counts, "Wrong view." in the other."""
    rows = []
    for hospital in data.hospitals:
        for row in hospital.rows["test"]:
            study = {"study_id": data.study_ids[row], "patient_id": data.patient_ids[row], "hospital": hospital.name}
            common = {**study, "part": "test" if hospital.seen else "unseen", "reference": data.reports[row]}
            rows.append({**common, "view": "global", "hypothesis": "Wrong view." if hospital.seen else text})
            rows += [{**common, "view": "personal", "hypothesis": text}] if hospital.seen else []
    return pd.DataFrame(rows)


@pytest.fixture(name="make")
def _make(toy_cache: Path, tmp_path: Path, make_result: Callable[..., dict[str, Any]]) -> Make:
    """Write a finished run that reports `text` for every film; gives its id. facts: changes of its provenance."""

    def make(algo: str, text: str, facts: Mapping[str, Any] | None = None, **changes: Any) -> str:
        data, folder = federation(toy_cache), RunFolder(tmp_path / "runs" / f"run-{algo}")
        hashes = {"data_sha256": data.data_sha256, "split_sha256": data.split_sha256, "private": False}
        provenance = {**make_result()["provenance"], **hashes, **(facts or {})}
        config = toy_config(algo).as_dict()
        (folder.path / CONFIG).write_text(json.dumps(config))
        result = make_result(algo, run_id=folder.path.name, config=config, provenance=provenance)
        folder.write_result({**result, **changes})
        folder.write_generations(generations(data, text))
        return folder.path.name

    return make


@pytest.fixture(name="read")
def _read(toy_cache: Path, tmp_path: Path) -> Callable[..., int]:
    def read(*words: str) -> int:
        return cli.main(["read", *words, "--runs", str(tmp_path / "runs"), "--cache", str(toy_cache)])

    return read


def test_the_page_has_film_reference_and_every_report(
    make: Make, read: Callable[..., int], toy_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [make("fedmrg", HOSTILE), make("constant", "No edema. Large right pleural effusion.")]
    out = [tmp_path / name for name in ("one.html", "two.html")]
    for path in out:
        assert read(*ids, "--studies", "6", "--out", str(path)) == 0
    page, data = out[0].read_text(), federation(toy_cache)
    total = sum(len(hospital.rows["test"]) for hospital in data.hospitals)
    assert f"6 of {total} studies, runs: 2, {len(page.encode()) / 1e6:.2f} MB" in capsys.readouterr().out
    assert out[0].read_bytes() == out[1].read_bytes()
    assert page.count('<img src="data:image/png;base64,') == page.count("<article ") == 6
    assert page.count("Large right pleural effusion.") == 6
    assert "Wrong view." not in page
    shown = re.findall(r'id="title-\d+"><a href="#study-\d+">([^<]+)', page)
    rows = {study: row for row, study in enumerate(data.study_ids)}
    assert all(data.reports[rows[study]].split(".")[0].strip() in page for study in shown)
    assert {hospital.name for hospital in data.hospitals} == set(re.findall(r'data-hospital="([^"]+)"', page))
    assert page.count("<b>The film shows:</b>") == 6
    assert "fedmrg*" in page
    assert "Runs in italics read no film" in page
    assert FORMALISATION.split("'")[-1] in page


def test_a_report_is_text_and_nothing_else_can_run(make: Make, read: Callable[..., int], tmp_path: Path) -> None:
    assert read(make("fedavg", HOSTILE), "--studies", "3", "--out", str(tmp_path / "page.html")) == 0
    page = (tmp_path / "page.html").read_text()
    outline = Outline(re.sub(r'<img src="data:image/png;base64,[^"]*"|<input ', "<br ", page))
    assert outline.open == []
    assert outline.loaded == []
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;?" in page
    assert "\u202e" not in page
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert len(script) == 1
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page
    assert FORMALISATION.split("'")[-1] not in page


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"status": "failed"}, "run run-fedprox is not finished; `fedmrg bench --resume run-fedprox` continues it"),
        ({"seed": 1}, "run run-fedprox has seed 1, run run-fedavg seed 0: give runs of one seed."),
        ({"facts": {"data_sha256": "x"}}, "run run-fedprox has other data than run run-fedavg"),
        ({"facts": {"split_sha256": "x"}}, "run run-fedprox has another division into hospitals than run run-fedavg"),
        ({"facts": {"private": True}}, "run run-fedprox is of private or credentialed data: no page shows its reports"),
        ({"facts": {"private": None}}, "run run-fedprox is of private or credentialed data"),
    ],
)
def test_runs_that_cannot_be_shown_together_are_refused(
    make: Make, read: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], other: Any, said: str
) -> None:
    ids = [make("fedavg", "No edema."), make("fedprox", "No edema.", **other)]
    assert read(*ids, "--out", str(tmp_path / "page.html")) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "page.html").exists()


def test_a_wrong_word_is_refused(make: Make, read: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    make("fedavg", "No edema.")
    assert read("run-fedavgg") == 2
    assert "Did you mean 'run-fedavg'?" in capsys.readouterr().err
    assert read("run-fedavg", "--studies", "0") == 2
    assert "--studies = 0 is out of range; allowed: 1 or more" in capsys.readouterr().err


def test_credentialed_data_is_refused_whatever_the_run_allows(
    make: Make, read: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = None, SimpleNamespace(credentialed=True)
    monkeypatch.setattr(reading_runs, "prepared", lambda result, cache: closed)
    assert read(make("fedavg", "No edema.")) == 2
    assert "private or credentialed" in capsys.readouterr().err


def text(**states: LabelState) -> Text:
    """A text that says this of conditions; underscores are spaces."""
    named = {name.replace("_", " "): state for name, state in states.items()}
    return Text("", tuple(int(named.get(name, LabelState.BLANK)) for name in CONDITIONS))


def study(number: int, hospital: str, *reports: Text) -> Study:
    return Study(number, f"s{number}", hospital, True, text(Edema=LabelState.POSITIVE), reports)


def test_half_are_disputed_and_half_drawn_by_turns_over_hospitals() -> None:
    edema, both = text(Edema=LabelState.POSITIVE), text(Edema=LabelState.POSITIVE, Fracture=LabelState.POSITIVE)
    studies = [study(n, f"h{n % 3}", edema, both if n >= 24 else edema) for n in range(30)]
    chosen = choose_studies(studies, 12)
    assert chosen == choose_studies(studies[::-1], 12)
    assert [sum(one.hospital == name for one in chosen) for name in ("h0", "h1", "h2")] == [4, 4, 4]
    assert sorted(one.row for one in chosen if one.disputed) == [24, 25, 26, 27, 28, 29]
    assert len({one.study_id for one in chosen}) == 12
    assert len(choose_studies(studies, 99)) == 30


def test_one_run_is_compared_with_the_reference() -> None:
    assert study(0, "h", text(Fracture=LabelState.POSITIVE)).disagreement == 2
    assert study(0, "h", text(Fracture=LabelState.POSITIVE), text(Fracture=LabelState.POSITIVE)).disagreement == 0


def test_chips_say_what_agrees_what_is_missed_and_what_is_invented() -> None:
    reference = text(Edema=LabelState.POSITIVE, Fracture=LabelState.POSITIVE, Pneumonia=LabelState.NEGATIVE)
    report = text(
        Edema=LabelState.POSITIVE,
        Fracture=LabelState.UNCERTAIN,
        Pneumonia=LabelState.POSITIVE,
        Lung_Lesion=LabelState.POSITIVE,
    )
    report = replace(report, text="Pulmonary edema. A lung mass.\nHeart size normal.")
    column = report_column(report, reference, drawn=frozenset([CONDITIONS.index("Lung Lesion")]))
    assert [(chip.sign, chip.kind, chip.title, chip.note) for chip in column.chips] == [
        ("+", "invented", "Lung Lesion", "on the film"),
        ("\u2713", "agrees", "Edema", ""),
        ("+", "invented", "Pneumonia", "denied by the reference"),
        ("\u2212", "missed", "Fracture", "uncertain"),
    ]
    assert column.others == 10
    assert column.sentences == (
        ("Pulmonary edema.", "agrees"),
        ("A lung mass.", "invented"),
        ("Heart size normal.", ""),
    )


def test_what_does_not_fit_is_left_out_and_the_page_says_so(
    make: Make,
    read: Callable[..., int],
    toy_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(reading_runs, "prepared", lambda result, cache: (None, federation(toy_cache)))
    monkeypatch.setattr(rendering, "LIMIT", 50_000)
    page = tmp_path / "page.html"
    assert read(make("fedavg", "No edema."), "--studies", "9", "--out", str(page)) == 0
    shown = page.read_text().count("<article ")
    assert page.stat().st_size <= 50_000
    assert 0 < shown < 9
    assert f"9 studies were asked for; {shown} fit into 0.05 MB." in page.read_text()
    monkeypatch.setattr(rendering, "LIMIT", 1000)
    assert read("run-fedavg", "--out", str(page)) == 2
    assert "not one study fits into a page of 0.001 MB" in capsys.readouterr().err


def test_large_films_are_packed_smaller() -> None:
    assert film_uri(np.zeros((64, 64), np.uint8)).startswith("data:image/png;base64,")
    assert film_uri(np.zeros((224, 224), np.uint8)).startswith("data:image/jpeg;base64,")
