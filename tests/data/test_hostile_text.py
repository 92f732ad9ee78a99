"""Texts and XML files made to exhaust a reader: 200 kB reports through everything that reads text, and XML bombs.

No time is measured: a reader that is not linear in a text's length runs into the tests' timeout.
"""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from fedmrg_core.data.readers.iu_xray import read_report
from fedmrg_core.data.readers.sections import sections
from fedmrg_core.errors import DataError
from fedmrg_core.metrics.labeler import label
from fedmrg_core.metrics.report_text import prepare_report
from fedmrg_core.metrics.text import clean_r2gen, plain

SIZE = 200_000
TEXTS = {
    "one word": "effusion",
    "one letter": "a",
    "blanks": " ",
    "line breaks": "\n",
    "carriage returns": "\r\n\r",
    "full stops": ". ",
    "denials without an end": "no ",
    "denial upon denial": "no evidence of no ",
    "a list of findings": "effusion, edema or ",
    "commas": ",",
    "colons": "LUNGS: ",
    "headings": "FINDINGS:\n",
    "list items": "- No pneumothorax\n",
    "numbers": "1. 2) 3.5 cm ",
    "hyphens": "-",
    "brackets": "([{",
    "not English": "Kein Pneumothorax. 没有气胸。 Größe \U0001f600 ",
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", TEXTS)
def test_a_report_of_200_kb_is_read(name: str) -> None:
    unit = TEXTS[name]
    text = (unit * (SIZE // len(unit) + 1))[:SIZE]
    prepared = prepare_report(text)
    assert prepare_report(prepared) == prepared
    assert len(label(text)) == 14
    assert isinstance(sections(text), dict)
    assert len(plain(text)) <= len(text) * 2
    clean_r2gen(text)


def entities(count: int) -> str:
    """Each entity ten times the one before ("billion laughs")."""
    lines = "".join(f'<!ENTITY e{at} "{f"&e{at - 1};" * 10}">' for at in range(1, count))
    return f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "ha">{lines}]><eCitation>&e{count - 1};</eCitation>'


QUADRATIC = f'<!DOCTYPE x [<!ENTITY a "{"x" * 50_000}">]><eCitation>{"&a;" * 50_000}</eCitation>'
EXTERNAL = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><eCitation>&a;</eCitation>'
PARAMETER = '<!DOCTYPE x [<!ENTITY % a SYSTEM "file:///etc/hostname"> %a;]><eCitation/>'


@pytest.mark.parametrize("bomb", [entities(12), QUADRATIC, EXTERNAL, PARAMETER])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_xml_bomb_is_refused_before_it_is_expanded(bomb: str, encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "1.xml"
    file.write_bytes(bomb.replace('<?xml version="1.0"?>', "").encode(encoding))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=r"^ecgen-radiology/1.xml: declares XML entities, which no Open-i report does$"):
        read_report(file, "ecgen-radiology/1.xml")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kB: it was expanded"


@pytest.mark.parametrize(
    "content",
    ["<a>" * 100_000, "<a>" * 100_000 + "</a>" * 100_000, "<a " + "b='1' " * 30_000 + "/>", "<!--" + "-" * SIZE],
)
def test_deep_or_wide_xml_is_read_or_refused_in_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "1.xml").write_text(content)
    said = "1.xml: read"
    try:
        read_report(tmp_path / "1.xml", "1.xml")
    except DataError as error:
        said = str(error)
    assert said.startswith("1.xml: ")
    assert "\n" not in said
