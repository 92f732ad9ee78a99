"""From boards to pages: every title, note, number and mark is decided here, so that templates only lay out.

    board_page(board)      # Page: sections of tables of cells
    index_page(boards)     # Index: one entry per board
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from benchmark.board.boards import Board, Estimate, Row
from benchmark.board.differences import LEVEL, Difference, differences, indistinguishable, reference
from benchmark.board.page import Bar, Cell, Entry, Index, Line, Page, Section, Table
from benchmark.board.results import Result
from fedmrg_core.errors import first_line
from fedmrg_core.metrics.catalogue import RANKED_BY, VIEWS, Metric, View, find, shown

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
    "Numbers are means over draws of data and base (one draw per seed) with 95 % t intervals, cut at the lowest and "
    "highest possible value. A row with one draw has the 95 % bootstrap interval over its patients. CE F1 (clinical "
    "efficacy) compares the 14 CheXpert conditions of both texts, positives only. The worst hospital is the lowest of "
    "a few small groups, partly by chance: do not rank by it. Rows in italics read no film or were never trained: they "
    "show what a score is worth. In columns with \u2193 lower is better."
)
ONE_DRAW = (
    "All seeds share one draw of data and base: intervals and tests over seeds show the noise of training only, not "
    "what other patients would change."
)
FEWER_DRAWS = "Fewer draws than the rows above. Draws differ in difficulty, so compare no number with theirs."
NO_LEADER = "not ranked: one seed"
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
    "CheXpert; rare ones have few positives, and wide intervals, which the result files have."
)
INCOMPARABLE = "Finished runs that differ in more than the algorithm. The first difference is named."
NO_RESULT = "No finished result yet."
NO_BOARD = "No result is committed yet: make suite makes them."
DASH = "-"


def index_page(boards: Sequence[Board]) -> Index:
    """The index of boards."""
    return Index(tuple(_entry(board) for board in boards), "" if boards else NO_BOARD)


def _entry(board: Board) -> Entry:
    return Entry(board.split, preset_name(board), board.slug, len(board.rows), _leader(board))


def board_page(board: Board) -> Page:
    """One board's page."""
    title = f"{board.split}, preset {preset_name(board)}"
    problems = tuple(_problems(board))
    if not board.rows:
        return Page(title, (NO_RESULT,), "", problems)
    common = board.common
    facts = f"bench_version {common.bench_version}, board key {common.board_key}, metrics {common.metrics}"
    facts += f", libraries {common.libraries}." if common.libraries else "."
    shared = (ONE_DRAW,) if board.one_draw and board.rows[0].draws > 1 else ()
    notes = (facts, HOW_TO_READ, *shared, *_ties(board))
    footnote = f"fedmrg: {FORMALISATION}." if any(is_noted(row.algorithm) for row in board.rows) else ""
    scores = (*_views(board), *_heads(board), *_texts(board), *_conditions(board))
    return Page(title, notes, footnote, (*scores, *_differences(board), _costs(board), *problems))


def preset_name(board: Board) -> str:
    """The preset, with the overrides of the suite if there are any."""
    return board.preset + (f" with {', '.join(board.overrides)}" if board.overrides else "")


def is_noted(algorithm: str) -> bool:
    """Whether the note on FedMRG applies: to it and its variants (`fedmrg-lite`)."""
    return algorithm.split(" ")[0].split("-")[0] == "fedmrg"


def _leader(board: Board) -> str:
    best = board.rows[0] if board.rows else None
    if best and best.draws == 1:
        return NO_LEADER
    found = best.estimates.get(RANKED_BY) if best else None
    return f"{best.algorithm} {_decimal(found.value)}" if best and found else DASH


def _ties(board: Board) -> Iterator[str]:
    """Which rows cannot be told from the first."""
    names = indistinguishable(board, RANKED_BY)
    if names:
        yield (
            f"Not distinguishable from the first row in {find(RANKED_BY).title}, own hospitals, personal view (paired "
            f"t test over {board.rows[0].draws} draws, which shows large differences only, Holm's p of "
            f"{_decimal(LEVEL)} or more): {', '.join(names)}."
        )


def _views(board: Board) -> Iterator[Section]:
    for view in VIEWS:
        meaning = f"{view.meaning[:1].upper()}{view.meaning[1:]}."
        yield Section(view.long_title, meaning, tuple(_score_tables(board, view.key, shown("board"))))


def _row_groups(board: Board) -> Iterator[tuple[Sequence[Row], str]]:
    """The rows with the most draws and, if there are any, the others with a note: they share no sortable column."""
    complete = board.complete
    others = [row for row in board.rows if row not in complete]
    yield complete, ""
    if others:
        yield others, FEWER_DRAWS


def _score_tables(board: Board, view: str, metrics: Sequence[Metric], title: str = "") -> Iterator[Table]:
    columns = tuple(map(_column, metrics))
    for rows, note in _row_groups(board):
        known = [row for row in rows if any(f"{view}/{metric.key}" in row.estimates for metric in metrics)]
        if known:
            yield Table(columns, tuple(_score_lines(known, view, metrics)), title, note)
            title = ""


def _column(metric: Metric) -> str:
    return metric.title if metric.higher_is_better else f"{metric.title} \u2193"


def _score_lines(rows: Sequence[Row], view: str, metrics: Sequence[Metric]) -> Iterator[Line]:
    keys = [f"{view}/{metric.key}" for metric in metrics]
    tops = {key: max((row.estimates[key].high for row in rows if key in row.estimates), default=0.0) for key in keys}
    for row in rows:
        yield _line(row, [_score(row.estimates.get(key), tops[key] or 1.0) for key in keys])


def _heads(board: Board) -> Iterator[Section]:
    """The diagnosis head next to the text, of the rows that have one."""
    having = [row for row in board.rows if any("/head_" in key for key in row.estimates)]
    part = replace(board, rows=tuple(having))
    views = [view for view in VIEWS if view.differences]
    tables = [table for view in views for table in _score_tables(part, view.key, shown("head"), view.long_title)]
    if having:
        yield Section("The diagnosis head next to the text", HEADS_MEANING, tuple(tables))


def _texts(board: Board) -> Iterator[Section]:
    """What the reports are like, whatever they say."""
    views = [view for view in VIEWS if view.differences]
    tables = [table for view in views for table in _score_tables(board, view.key, shown("text"), view.long_title)]
    if tables:
        yield Section("What the reports are like", TEXTS_MEANING, tuple(tables))


def _conditions(board: Board) -> Iterator[Section]:
    """The F1 of each condition, without intervals: fourteen columns."""
    tables = []
    for table in _score_tables(board, VIEWS[0].key, shown("conditions")):
        columns = tuple(title.removeprefix("CE F1 ") for title in table.columns)
        lines = tuple(
            replace(line, cells=tuple(replace(cell, interval="", bar=None) for cell in line.cells))
            for line in table.lines
        )
        tables.append(replace(table, columns=columns, lines=lines))
    if tables:
        yield Section("Condition by condition", CONDITIONS_MEANING, tuple(tables))


def _differences(board: Board) -> Iterator[Section]:
    """Differences from the reference row, if the board has more than one draw."""
    base = reference(board)
    if base is None or base.draws < 2:
        return
    views = [view for view in VIEWS if view.differences]
    tables = tuple(table for view in views for table in _difference_tables(board, base, view))
    text = (
        f"Each row less {base.algorithm}, draw by draw on the same data and base: mean, 95 % t interval, and p of the "
        "paired t test after Holm's correction over the rows of a column. Few draws show large differences only; a "
        "single draw shows a difference without interval. fedmrg compare A B compares two runs of one seed study by "
        "study."
    )
    if tables:
        yield Section(f"Differences from {base.algorithm}", text, tables)


def _difference_tables(board: Board, base: Row, view: View) -> Iterator[Table]:
    titles, title = tuple(map(_column, shown("board"))), view.long_title
    for rows, note in _row_groups(board):
        columns = [differences(rows, base, f"{view.key}/{metric.key}") for metric in shown("board")]
        known = [row for row in rows if any(row.algorithm in column for column in columns)]
        lines = tuple(_line(row, [_difference(column.get(row.algorithm)) for column in columns]) for row in known)
        if lines:
            yield Table(titles, lines, title, note)
            title = ""


def _costs(board: Board) -> Section:
    known = {key: title for key, title in COST_TITLES.items() if any(key in row.estimates for row in board.rows)}
    tables = []
    for rows, note in _row_groups(board):
        lines = [_line(row, [*(_cost(row.estimates.get(key)) for key in known), *_counts(row)]) for row in rows]
        tables.append(Table((*known.values(), "seeds", "draws"), tuple(lines), note=note))
    return Section("Costs", tables=tuple(tables))


def _counts(row: Row) -> list[Cell]:
    return [Cell(str(count), number=float(count)) for count in (len(row.seeds), row.draws)]


def _problems(board: Board) -> Iterator[Section]:
    if board.failed:
        yield Section("Failed runs", items=tuple(f"{_run(r)}: {r['status']}: {_reason(r)}" for r in board.failed))
    if board.incomparable:
        pairs = zip(board.incomparable, board.reasons, strict=True)
        items = tuple(f"{_run(result)}{_ranked_score(result)}: {why}" for result, why in pairs)
        yield Section("Not comparable with the rows above", INCOMPARABLE, items=items)


def _run(result: Mapping[str, object]) -> str:
    return f"{result['algorithm']}, seed {result['seed']}"


def _ranked_score(result: Result) -> str:
    value = result["scores"].get(RANKED_BY, {}).get("value")
    return "" if value is None else f" ({find(RANKED_BY).title} {_decimal(value)})"


def _reason(result: Result) -> str:
    return first_line(str(result.get("error") or ""))[:200] or "no reason recorded"


def _line(row: Row, cells: Sequence[Cell]) -> Line:
    return Line(row.algorithm, row.trivial, is_noted(row.algorithm), tuple(cells))


def _score(found: Estimate | None, top: float) -> Cell:
    if found is None:
        return Cell(DASH)
    interval = "" if found.low == found.high else f"{_decimal(found.low)} to {_decimal(found.high)}"
    percent = [min(100.0, max(0.0, 100 * x / top)) for x in (found.value, found.low, found.high)]
    return Cell(_decimal(found.value), interval, found.value, Bar(*percent))


def _difference(found: Difference | None) -> Cell:
    if found is None:
        return Cell(DASH)
    if found.p_holm is None:
        return Cell(_decimal(found.value, "+"), number=found.value)
    p = "< .001" if found.p_holm < 0.001 else _decimal(found.p_holm)
    interval = f"{_decimal(found.low, '+')} to {_decimal(found.high, '+')}, p {p}"
    return Cell(_decimal(found.value, "+"), interval, found.value)


def _cost(found: Estimate | None) -> Cell:
    if found is None:
        return Cell(DASH)
    return Cell(f"{found.value:.1f}" if found.value >= 10 else f"{found.value:.2f}", number=found.value)


def _decimal(value: float, sign: str = "-") -> str:
    """Three decimals without the leading zero, as scores are written: `.512`, with sign "+" `+.021`."""
    text = f"{value:{sign}z.3f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text
