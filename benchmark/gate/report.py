"""What moved, for a terminal, as Markdown (a pull request's summary) and as JUnit XML (a CI server's list of tests)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from benchmark.gate.compare import Move
from fedmrg_core.errors import one_line

KINDS = {
    "labeler": "labels of the golden sentences",
    "facts": "base, data, split, steps and bytes",
    "rounds": "losses, updates and weights of the first rounds",
    "bits": "hashes of parameters and labels",
    "texts": "reports",
    "scores": "scores",
}
SHOWN = 12
"""Moves shown per run in a terminal, of those that went too far."""


@dataclass(frozen=True)
class Report:
    """The outcome of a comparison. against: the commit of the expectations. machines: what differs between the two
    machines. runs: the names of all runs. error: why nothing could be compared. note: said instead of how exactly the
    numbers were compared."""

    against: str = ""
    machines: Sequence[str] = ()
    runs: Sequence[str] = ()
    moves: Sequence[Move] = ()
    error: str = ""
    note: str = ""

    @property
    def far(self) -> list[Move]:
        return [move for move in self.moves if move.too_far]

    @property
    def promise(self) -> str:
        """How exactly the numbers were compared."""
        if self.note:
            return self.note
        if not self.machines:
            return "the same machine type and libraries: everything is compared to the bit"
        return (
            "another machine, compared within the spread of rounding (" + "; ".join(map(one_line, self.machines)) + ")"
        )

    @property
    def verdict(self) -> str:
        if self.error:
            return f"could not run: {one_line(self.error)}"
        counts = f"{len(self.moves)} moved, {len(self.far)} too far"
        return f"{len(self.runs)} runs against {one_line(self.against[:10]) or 'no commit'}: {counts}"


def as_text(report: Report) -> str:
    """For a terminal."""
    lines = [report.verdict, *([] if report.error else [report.promise])]
    for name in dict.fromkeys(move.run for move in report.moves):
        lines += _run_lines(name, [move for move in report.moves if move.run == name])
    return "\n".join(lines)


def _run_lines(name: str, moves: Sequence[Move]) -> Iterator[str]:
    """What moved too far in a run, and one line on the rest."""
    far, near = [move for move in moves if move.too_far], [move for move in moves if not move.too_far]
    if far:
        yield f"  {one_line(name):<42}{'expected':>16}{'now':>16}{'tolerance':>11}"
        yield from (_line(move) for move in far[:SHOWN])
    if len(far) > SHOWN:
        yield f"    and {len(far) - SHOWN} more"
    if near:
        used, key = max((move.used, move.key) for move in near)
        unseen = sum(move.tolerance is None for move in near)
        said = f"{len(near)} moved within tolerance, {key} furthest ({used:.1%} of it)"
        yield f"  {one_line(name)}: {said}" + (f"; {unseen} not compared on this machine" if unseen else "")


def _line(move: Move) -> str:
    return f"!   {one_line(move.key)[:39]:<40}{shown(move.expected):>16}{shown(move.now):>16}{allowed(move):>11}"


def as_markdown(report: Report) -> str:
    """For a pull request: the verdict, and a table of what moved too far."""
    mark = "❌" if report.far or report.error else "✅"
    lines = [f"### {mark} fedmrg regress", "", report.verdict + ("" if report.error else f"; {report.promise}") + "."]
    if report.far:
        lines += ["", "| run | number | expected | now | tolerance |", "|---|---|---:|---:|---:|"]
        cells = [(m.run, m.key, shown(m.expected), shown(m.now), allowed(m)) for m in report.far]
        lines += ["| " + " | ".join(one_line(cell).replace("|", "\\|") for cell in row) + " |" for row in cells[:50]]
        lines += ["", f"and {len(cells) - 50} more"] if len(cells) > 50 else []
    return "\n".join(lines) + "\n"


def as_junit(report: Report) -> str:
    """For a CI server: one test per run and kind of number, which fails if a number of that kind moved too far."""
    cases = list(_cases(report))
    failed = sum(case.find("failure") is not None for case in cases)
    counts = {"tests": str(len(cases)), "failures": str(failed), "errors": str(int(bool(report.error)))}
    suite = ElementTree.Element("testsuite", {"name": "fedmrg regress", **counts})
    suite.extend(cases)
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _cases(report: Report) -> Iterator[ElementTree.Element]:
    if report.error:
        case = ElementTree.Element("testcase", {"classname": "regress", "name": "it runs"})
        ElementTree.SubElement(case, "error", {"message": one_line(report.error)})
        yield case
        return
    for run in ("-", *report.runs):
        kinds = ("labeler", "facts") if run == "-" else tuple(kind for kind in KINDS if kind != "labeler")
        for kind in kinds:
            far = [move for move in report.far if (move.run, move.kind) == (run, kind)]
            name = "suite" if run == "-" else one_line(run)
            case = ElementTree.Element("testcase", {"classname": f"regress.{name}", "name": KINDS[kind]})
            if far:
                failure = ElementTree.SubElement(case, "failure", {"message": f"{len(far)} moved too far"})
                failure.text = "\n".join(_line(move) for move in far[:50])
            yield case


def shown(value: object) -> str:
    """A value in few letters: five digits of a number, the start of a hash."""
    if value is None:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else one_line(str(value))[:14]


def allowed(move: Move) -> str:
    """The tolerance of a move."""
    return "bits only" if move.tolerance is None else f"{move.tolerance:.2g}"
