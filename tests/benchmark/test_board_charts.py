"""Charts and heat maps of boards: what they say, that they stay in their axes, and that their numbers can be taken."""

from __future__ import annotations

import csv
import re
import xml.etree.ElementTree as ET
from io import StringIO
from urllib.parse import unquote

import pytest

from benchmark.board.boards import boards
from benchmark.board.cells import line
from benchmark.board.chart_sections import head_charts, heat, hospitals_section, unseen_charts, upload_section
from benchmark.board.charts import Point, pareto
from benchmark.board.communication_section import communication_section
from benchmark.board.curves_section import curves_section
from benchmark.board.page import Cell, Chart, Table
from benchmark.board.rows import Estimate
from benchmark.board.schema import problem
from benchmark.board.svg import Axis
from benchmark.board.time_section import time_section


def table(link: str) -> list[list[str]]:
    """The rows of a CSV link."""
    start, _, text = link.partition(",")
    assert start == "data:text/csv;charset=utf-8"
    return list(csv.reader(StringIO(unquote(text))))


def desc(chart: Chart) -> str:
    return str(ET.fromstring(str(chart.svg)).findtext("desc"))


@pytest.fixture
def board(make_result):
    def sent(name: str, value: float, megabytes: float):
        made = make_result(name, value=value)
        return {**made, "communication": {**made["communication"], "upload_bytes": megabytes * 1e6}}

    rows = [sent("fedavg", 0.6, 450), sent("fedmrg", 0.5, 4.5), sent("fedlora", 0.55, 450), sent("local-only", 0.4, 0)]
    (found,) = boards([*rows, make_result("constant", value=0.1)])
    return found


def test_upload_names_the_pareto_front_and_the_time_at_three_speeds(board):
    ((chart,),) = [section.charts for section in upload_section(board)]
    text = desc(chart)
    assert re.findall(r"([\w-]+): \.", text) == ["local-only", "fedmrg", "fedavg"], "fedlora sends as much as fedavg"
    assert "fedmrg: .500 (.450 to .550); 4.5 MB, 3.6 s at 10, 0.36 s at 100, 0.036 s at 1000 Mbit/s" in text
    header, *rows = table(chart.csv)
    assert header[:3] == ["algorithm", "upload_mb", "hours_at_10_mbit_s"]
    assert {row[0]: row[-1] for row in rows} == {"fedavg": "1", "fedmrg": "1", "fedlora": "0", "local-only": "1"}
    assert next(row[1:4] for row in rows if row[0] == "fedavg") == ["450", "0.1", "0.01"]


def test_no_upload_chart_without_uploads(make_result):
    less = {"upload_bytes": 0, "download_bytes": 0, "per_round": []}
    (found,) = boards([make_result(communication=less), make_result("fedavg", communication=less)])
    assert list(upload_section(found)) == []


def test_rows_of_equal_score_and_upload_are_once_on_the_front(board):
    first, second = (Point(row, 5.0, Estimate(0.5, 0.4, 0.6, 1)) for row in board.rows[:2])
    assert pareto([first, second], lambda one: one.upload) == [first]


def test_pairs_show_both_scores_of_each_row(board):
    (chart,) = unseen_charts(board)
    assert "fedmrg: seen hospitals .500 (.450 to .550), unseen hospitals .500 (.450 to .550)" in desc(chart)
    names = [row[0] for row in table(chart.csv)]
    assert names == ["algorithm", "fedavg", "fedlora", "fedmrg", "local-only", "constant"]
    assert head_charts(board) == (), "no row has a head"


@pytest.mark.parametrize("log", [False, True])
def test_nothing_is_drawn_outside_an_axis(log):
    axis = Axis(0.1, 0.9, 100, 200, log)
    assert [axis.at(value) for value in (-5.0, 0.1, 0.9, 7.0)] == [100, 100, 200, 200]
    assert axis.ticks()
    assert all(0.1 <= tick <= 0.9 for tick in axis.ticks())


def test_a_chart_escapes_names_and_cuts_long_ones(make_result):
    name = f'<b>&"{"x" * 60}'
    (found,) = boards([make_result(name), make_result("fedavg")])
    (chart,) = unseen_charts(found)
    group = next(g for g in ET.fromstring(str(chart.svg)).iter("g") if g.get("data-row") == name)
    assert len(str(group.findtext("text"))) == 26


def test_hospitals_are_means_over_seeds(make_result):
    def one(seed: int, value: float):
        made = make_result(seed=seed)
        own = {**made["scores"]["test/personal/bleu4"], "value": value}
        more = {"test/personal/h01/ce_f1_micro14": own, "test/personal/h01/bleu4": own}
        return {**made, "scores": {**made["scores"], **more}}

    (found,) = boards([one(0, 0.2), one(1, 0.6), make_result("fedavg", seed=0), make_result("fedavg", seed=1)])
    (section,) = hospitals_section(found)
    (own,) = section.tables
    assert own.columns == ("h01",)
    assert {line.name: (line.cells[0].text, line.cells[0].shade) for line in own.lines} == {
        "fedmrg": (".400", pytest.approx(40)),
        "fedavg": ("-", None),
    }
    assert sorted(table(own.csv)) == [["algorithm", "h01"], ["fedavg", ""], ["fedmrg", "0.4"]]


def test_the_colour_of_a_heat_map_stays_in_its_range(board):
    cells = [Cell("x", number=-0.5), Cell("x", number=1.5)]
    (row,) = heat(Table(("a", "b"), (line(board.rows[0], cells),))).lines
    assert [cell.shade for cell in row.cells] == [0, 100]


def test_time_is_computing_and_transfer(make_result):
    def row(name: str, cpu: float, megabytes: float):
        made = make_result(name)
        sent = {**made["communication"], "upload_bytes": megabytes * 1e6, "download_bytes": 3 * megabytes * 1e6}
        facts = {**made["provenance"], "client_cpu_seconds": cpu, "device": "cpu, float32"}
        return {**made, "communication": sent, "provenance": facts}

    (found,) = boards([row("fedavg", 100, 25), row("fedmrg", 180, 1), make_result("constant", value=0.1)])
    (section,) = time_section(found)
    _, *rows = table(section.charts[0].csv)
    hours = {name: [float(one) * 3600 for one in times[:3]] for name, _, _, *times in rows}
    assert hours["fedavg"] == pytest.approx([180, 108, 100.8], rel=1e-5)
    assert hours["fedmrg"] == pytest.approx([183.2, 180.32, 180.032], rel=1e-5)
    cells = section.tables[0].lines[0].cells[1:]
    assert [cell.text for cell in cells] == ["1.7 min", "100.0", "3.0 min", "1.8 min", "1.7 min"]
    assert "fedmrg" not in desc(section.charts[0]).partition(";")[0], "slower and no better: not on the front"
    (alone,) = boards([row("fedavg", 100, 25), make_result("constant", value=0.1)])
    assert list(time_section(alone)) == []


def test_curves_are_means_over_seeds_at_the_rounds_that_all_have(make_result):
    seeds = [make_result(seed=seed, history={"agreement": points}) for seed, points in enumerate(AGREEMENT)]
    found = boards([*seeds, *(make_result("fedavg", seed=seed) for seed in (0, 1))])[0]
    (section,) = curves_section(found)
    (chart,) = section.charts
    assert table(chart.csv) == [["algorithm", "round", "value"], ["fedmrg", "1", "0.3"], ["fedmrg", "3", "0.6"]]
    assert desc(chart) == "fedmrg: .300 in round 1, .600 in round 3."


AGREEMENT = ([[1, 0.2], [2, 0.9], [3, 0.5]], [[1, 0.4], [3, 0.7]])


@pytest.mark.parametrize("points", [[[1, "x"]], [[1]], {"1": 2}, [[1, float("nan")]]])
def test_a_damaged_curve_is_refused(make_result, points):
    assert problem(make_result(history={"agreement": points})).startswith("history 'agreement' is")


def test_communication_by_group_is_the_mean_over_seeds(make_result):
    def row(seed: int, size: float):
        made = make_result(seed=seed)
        groups = {"upload": {"prototype": 5e5, "delta": size * 1e6}, "download": {"shared": 2e6}}
        return {**made, "communication": {**made["communication"], "by_group": groups}}

    (section,) = communication_section(boards([row(0, 10), row(1, 30), make_result("fedavg")])[0])
    cells = {one.name: [cell.text for cell in one.cells] for table in section.tables for one in table.lines}
    assert section.tables[0].columns == ("up: delta", "up: prototype", "down: shared")
    assert cells == {"fedmrg": ["20.0", "0.50", "2.00"], "fedavg": ["-", "-", "-"]}
