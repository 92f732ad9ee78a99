"""From boards to pages: every title, note, number and mark is decided here, so that templates only lay out.

    board_page(board)      # Page: sections of tables of cells, and charts
    index_page(boards)     # Index: one entry per board
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from benchmark.board.boards import Board
from benchmark.board.cells import DASH, column, cost_cell, decimal, is_noted, line, row_groups, score_cell
from benchmark.board.chart_sections import head_charts, heat, hospitals_section, unseen_charts, upload_section
from benchmark.board.communication_section import communication_section
from benchmark.board.curves_section import curves_section
from benchmark.board.difference_sections import difference_sections
from benchmark.board.differences import LEVEL, indistinguishable
from benchmark.board.origins import origins
from benchmark.board.page import Cell, Entry, Index, Line, Page, Section, Table
from benchmark.board.results import Result
from benchmark.board.rows import Row
from benchmark.board.time_section import time_section
from fedmrg_core.errors import first_line
from fedmrg_core.metrics.catalogue import RANKED_BY, VIEWS, Metric, find, shown

COST_TITLES = {
    "upload_mb_round": "upload per round, MB",
    "upload_mb": "total upload, MB",
    "train_cpu_s": "training, CPU s",
}
FORMALISATION = (
    "this project's formalisation, made from the abstract of arXiv 2506.17562, not checked against the paper's text"
)
"""Shown with FedMRG wherever it is ranked."""
HOW_TO_READ = (
    "Numbers are means over draws of data and base (one draw per seed), with 95 % intervals of a bootstrap over draws "
    "and patients together. CE F1 (clinical efficacy) compares the 14 CheXpert conditions of both texts, positives "
    "only. "
    "The worst hospital is the lowest of a few small groups; by chance is what it would be if hospitals were alike "
    "(labels permuted over studies), with the range of that: nothing is ranked by it. Rows in italics read no film or "
    "were never trained: they show what a score is worth. In columns with \u2193 lower is better."
)
UNCOUNTED = (
    "Without committed values of single studies: {}. Their intervals take the patients' part from those of the single "
    "runs, and their differences take the patients of two rows as independent, which makes them wide."
)
ONE_DATA = (
    "All seeds share one data set and one division into hospitals: intervals and tests are over the noise of training "
    "and over patients, not over what another data set or division would change."
)
NO_LEADER = "not ranked: one seed"
LEADERS = ("ce_f1_micro14", "bleu4", "nll")
"""The metrics of the personal view whose leaders the index names."""
SHORT = ("test/personal", "unseen/global")
"""The views whose tables are in Markdown too."""
HEADS_MEANING = (
    "What the diagnosis head knew, against the data set's labels, next to what the report said. If the head scores "
    "higher than the text, the language model does not report what the encoder saw."
)
TEXTS_MEANING = (
    "Shares of reports (of findings, for side and severity): whether they are a template, stutter, end, and agree with "
    "themselves and, on phantom, with what is drawn. CE F1 and text overlap see little of it."
)
CONDITIONS_MEANING = (
    "CE F1 of each condition, test studies of the own hospitals, each with its own model. Conditions are ordered as in "
    "CheXpert; rare ones have few positives, and wide intervals, which the result files have. The "
    "stronger the colour, the higher."
)
INCOMPARABLE = "Finished runs that differ in more than the algorithm. The first difference is named."
NO_RESULT = "No finished result yet."
NO_BOARD = "No result is committed yet: make suite makes them."


def index_page(boards: Sequence[Board]) -> Index:
    """The index of boards."""
    columns = tuple(column(find(key)) for key in LEADERS)
    return Index(columns, tuple(_entry(board) for board in boards), "" if boards else NO_BOARD)


def _entry(board: Board) -> Entry:
    draws = board.rows[0].draws if board.rows else 0
    leaders = tuple(_leader(board, f"test/personal/{key}") for key in LEADERS)
    names = indistinguishable(board, RANKED_BY) if draws > 1 else []
    ties = f"{board.rows[0].algorithm}, {', '.join(names)}" if names else ""
    return Entry(board.split, preset_name(board), board.slug, len(board.rows), draws, leaders, ties)


def board_page(board: Board) -> Page:
    """One board's page."""
    title = f"{board.split}, preset {preset_name(board)}"
    problems = tuple(_problems(board))
    if not board.rows:
        return Page(title, board.slug, (NO_RESULT,), (), "", problems)
    common = board.common
    facts = f"bench_version {common.bench_version}, board key {common.board_key}, metrics {common.metrics}"
    facts += f", libraries {common.libraries}." if common.libraries else "."
    shared = (ONE_DATA,) if board.one_data and board.rows[0].draws > 1 else ()
    said = (board.note,) if board.note else ()
    ties = indistinguishable(board, RANKED_BY)
    notes, method = (*said, *shared, *_ties(board, ties)), (HOW_TO_READ, *_uncounted(board), facts)
    footnote = f"fedmrg: {FORMALISATION}." if any(is_noted(row.algorithm) for row in board.rows) else ""
    costs = (*upload_section(board), *time_section(board))
    scores = (*_views(board, ties), *costs, *_heads(board), *_texts(board), *_conditions(board))
    sent = (_costs(board), *communication_section(board))
    rest = (*hospitals_section(board), *difference_sections(board), *curves_section(board), *sent, *problems)
    return Page(title, board.slug, notes, method, footnote, (*scores, *rest), tuple(origins(board)))


def preset_name(board: Board) -> str:
    """The preset, with the overrides of the suite if there are any."""
    return board.preset + (f" with {', '.join(board.overrides)}" if board.overrides else "")


def _leader(board: Board, key: str) -> str:
    """The trained row with the best mean, of those with the most draws."""
    rows = [row for row in board.complete if not row.trivial and key in row.estimates] if board.rows else []
    if not rows:
        return DASH
    if rows[0].draws == 1:
        return NO_LEADER
    choose = max if find(key).higher_is_better else min
    best = choose(rows, key=lambda row: row.estimates[key].value)
    return f"{best.algorithm} {decimal(best.estimates[key].value)}"


def _uncounted(board: Board) -> Iterator[str]:
    """Which rows have no per-study values."""
    names = [row.algorithm for row in board.rows if not row.counted]
    if names:
        yield UNCOUNTED.format("all rows" if len(names) == len(board.rows) else ", ".join(names))


def _ties(board: Board, names: Sequence[str]) -> Iterator[str]:
    """Which rows cannot be told from the first."""
    if names:
        draws = board.rows[0].draws
        over = f"{draws} draws and their patients" if draws > 1 else "the patients of one draw"
        yield (
            f"Not distinguishable from the first row in {find(RANKED_BY).title}, own hospitals, personal view (paired "
            f"bootstrap over {over}, Holm's p of {decimal(LEVEL)} or more): {', '.join(names)}."
        )


def _views(board: Board, ties: Sequence[str]) -> Iterator[Section]:
    for view in VIEWS:
        meaning = f"{view.meaning[:1].upper()}{view.meaning[1:]}."
        tables = tuple(_score_tables(board, view.key, shown("board")))
        if RANKED_BY.startswith(view.key):
            tables = tuple(_tied(table, ties) for table in tables)
        charts = unseen_charts(board) if view.key == "unseen/global" else ()
        if tables:
            yield Section(view.long_title, meaning, tables, charts=charts, short=view.key in SHORT)


def _tied(table: Table, ties: Sequence[str]) -> Table:
    return replace(table, lines=tuple(replace(line, tied=line.name in ties) for line in table.lines))


def _score_tables(board: Board, view: str, metrics: Sequence[Metric], title: str = "") -> Iterator[Table]:
    metrics = [one for one in metrics if any(f"{view}/{one.key}" in row.estimates for row in board.rows)]
    columns, fixed = tuple(map(column, metrics)), tuple(column(metric) for metric in metrics if metric.prefix)
    for rows, note in row_groups(board):
        known = [row for row in rows if any(f"{view}/{metric.key}" in row.estimates for metric in metrics)]
        if known:
            yield Table(columns, tuple(_score_lines(known, view, metrics)), title, note, fixed)
            title = ""


def _score_lines(rows: Sequence[Row], view: str, metrics: Sequence[Metric]) -> Iterator[Line]:
    keys = [f"{view}/{metric.key}" for metric in metrics]
    tops = {key: max((row.estimates[key].high for row in rows if key in row.estimates), default=0.0) for key in keys}
    for row in rows:
        yield line(row, [score_cell(row.estimates.get(key), tops[key] or 1.0) for key in keys])


def _heads(board: Board) -> Iterator[Section]:
    """The diagnosis head next to the text, of the rows that have one."""
    having = [row for row in board.rows if any("/head_" in key for key in row.estimates)]
    part = replace(board, rows=tuple(having))
    views = [view for view in VIEWS if view.differences]
    tables = [table for view in views for table in _score_tables(part, view.key, shown("head"), view.long_title)]
    if having:
        yield Section("The diagnosis head next to the text", HEADS_MEANING, tuple(tables), charts=head_charts(board))


def _texts(board: Board) -> Iterator[Section]:
    """What the reports are like, whatever they say."""
    views = [view for view in VIEWS if view.differences]
    tables = [table for view in views for table in _score_tables(board, view.key, shown("text"), view.long_title)]
    if tables:
        yield Section("What the reports are like", TEXTS_MEANING, tuple(tables))


def _conditions(board: Board) -> Iterator[Section]:
    """The F1 of each condition, without intervals: fourteen columns, as a heat map."""
    tables = []
    for table in _score_tables(board, VIEWS[0].key, shown("conditions")):
        columns = tuple(title.removeprefix("CE F1 ") for title in table.columns)
        tables.append(heat(replace(table, columns=columns)))
    if tables:
        yield Section("Condition by condition", CONDITIONS_MEANING, tuple(tables))


def _costs(board: Board) -> Section:
    known = {key: title for key, title in COST_TITLES.items() if any(key in row.estimates for row in board.rows)}
    tables = []
    for rows, note in row_groups(board):
        lines = [line(row, [*(_cost(row, key) for key in known), *_counts(row)]) for row in rows]
        tables.append(Table((*known.values(), "seeds", "draws"), tuple(lines), note=note))
    return Section("Costs", tables=tuple(tables))


def _cost(row: Row, key: str) -> Cell:
    return cost_cell(row.estimates[key].value if key in row.estimates else None)


def _counts(row: Row) -> list[Cell]:
    return [Cell(str(count), number=float(count)) for count in (len(row.seeds), row.draws)]


def _problems(board: Board) -> Iterator[Section]:
    if board.failed:
        items = tuple(f"{_run(r)}: {r['status']}: {_reason(r)}" for r in board.failed)
        yield Section("Failed runs", items=items, short=True)
    if board.incomparable:
        pairs = zip(board.incomparable, board.reasons, strict=True)
        items = tuple(f"{_run(result)}{_ranked_score(result)}: {why}" for result, why in pairs)
        yield Section("Not comparable with the rows above", INCOMPARABLE, items=items)


def _run(result: Mapping[str, object]) -> str:
    return f"{result['algorithm']}, seed {result['seed']}"


def _ranked_score(result: Result) -> str:
    value = result["scores"].get(RANKED_BY, {}).get("value")
    return "" if value is None else f" ({find(RANKED_BY).title} {decimal(value)})"


def _reason(result: Result) -> str:
    return first_line(str(result.get("error") or ""))[:200] or "no reason recorded"
