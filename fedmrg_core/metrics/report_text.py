"""The form in which every text of a report reaches the labeler and the tokenizer, whatever door it comes through.

Line breaks that carry meaning are kept (lists, headings, a finding per line); those of hard-wrapped text are not.
"""

from __future__ import annotations

import re

_BREAK = re.compile(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
_ITEM = re.compile(r"[-*•▪·–—]\s|\(?\d{1,2}[.)]\s|[A-Za-z][A-Za-z ,/&()-]{0,60}:")
"""The beginning of a list item, or a heading."""


def prepare_report(text: str, wrapped: bool = False) -> str:
    """A report with single blanks and with "\\n" only where a line break carries meaning. Idempotent.

    A line continues the one above where it starts with a small letter and the line above does not end a sentence.
    wrapped: the text is known to be hard-wrapped, as MIMIC-CXR's is: every line but list items and headings continues.
    A blank line always separates.

    >>> prepare_report("Heart  normal. No\\r\\n effusion.\\n- No pneumothorax\\n- Small effusion")
    'Heart normal. No effusion.\\n- No pneumothorax\\n- Small effusion'
    """
    lines: list[str] = []
    for line in (" ".join(part.split()) for part in _BREAK.split(text)):
        above = lines[-1] if lines else ""
        if above and line and not _ITEM.match(line) and (wrapped or _continues(above, line)):
            lines[-1] = f"{above} {line}"
        elif line or above:
            lines.append(line)
    return "\n".join(lines).strip()


def _continues(above: str, line: str) -> bool:
    return line[0].islower() and above[-1] not in ".:;!?"
