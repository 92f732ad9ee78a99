"""The findings section of a MIMIC-CXR report."""

from __future__ import annotations

import pytest
from trees import REPORT

from fedmrg_core.data.readers.sections import sections

TEXT = "The heart is enlarged. There is no pleural effusion."


@pytest.mark.parametrize(
    ("report", "findings"),
    [
        (REPORT, TEXT),
        (REPORT.replace("FINDINGS", "Findings"), TEXT),
        (
            REPORT.replace("FINDINGS:", "FINDINGS AND IMPRESSION:").rsplit("IMPRESSION:", 1)[0],
            TEXT,
        ),
        (
            REPORT.replace("FINDINGS:\n", "PA AND LATERAL VIEWS OF THE CHEST:"),
            TEXT,
        ),
        (REPORT.replace("FINDINGS:\n\n The heart is enlarged.  There is no\n pleural effusion.\n", ""), None),
        (
            " WET READ: ___ ___ ___ 9:00 PM\n  Findings are old.\n______________________\n" + REPORT,
            TEXT,
        ),
        (
            REPORT + "\n ADDENDUM  Discussed at 9:00 with the team.\n",
            TEXT,
        ),
        (" FINAL ADDENDUM\n Corrected side.\n" + REPORT, TEXT),
        (" FINDINGS: Note: tubes at 9:30 in place.\n", "Note: tubes at 9:30 in place."),
        (" FINDINGS:\n HEART: Big\n today.\n LUNGS: Clear.\n IMPRESSION: x", "HEART: Big today.\nLUNGS: Clear."),
        (" FINDINGS/IMPRESSION: Clear\n lungs.", "Clear lungs."),
        (" FINDINGS AND IMPRESSIONS: Clear lungs.\n CLINICAL INDICATION: Cough.", "Clear lungs."),
        (" FINDINGS:\n PORTABLE CHEST: Clear lungs.\n DICTATED BY: ___", "PORTABLE CHEST: Clear lungs."),
        (" PROVISIONAL FINDINGS IMPRESSION (PFI): Edema.\n FINDINGS: Clear lungs.", "Clear lungs."),
        (" FINDINGS:\n - No pneumothorax\n - Small\n effusion", "- No pneumothorax\n- Small effusion"),
        ("No heading at all.", None),
        ("", None),
    ],
)
def test_findings_section(report, findings):
    assert sections(report).get("findings") == findings
