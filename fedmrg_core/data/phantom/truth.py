"""What the films of a draw show, by study id, for checks of side and severity (fedmrg_core/metrics/stated.py)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fedmrg_core.data.phantom.config import PhantomConfig
from fedmrg_core.data.phantom.population import plan_hospital

_ID = re.compile(r"d(\d+)-(h\d+)-p\d+-s\d+")


def shown(study_ids: Iterable[str]) -> dict[str, dict[str, tuple[str, int]]]:
    """Study id -> condition -> (side, severity 0 to 2) of what is drawn. Empty unless all ids are the phantom's own:
    those of a private run are codes."""
    ids = set(study_ids)
    matches = [_ID.fullmatch(name) for name in ids]
    config = PhantomConfig.load()
    known = {
        plan.study_id: {finding.condition: (finding.side, finding.tier) for finding in plan.findings}
        for draw, hospital in sorted({(int(found[1]), found[2]) for found in matches if found})
        if hospital in config.hospitals
        for plan in plan_hospital(config, draw, config.hospitals.index(hospital))
    }
    return {name: known[name] for name in ids} if ids <= known.keys() else {}
