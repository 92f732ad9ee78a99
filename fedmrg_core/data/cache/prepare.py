"""From a configuration to a federation: source, split, films, tables, in a folder that is made once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fedmrg_core.data.cache.federation import META, Federation, table_hashes, write_tables
from fedmrg_core.data.cache.films import Films, Shard, build_films
from fedmrg_core.data.config import DataConfig
from fedmrg_core.data.images import TRANSFORM
from fedmrg_core.data.plan import DataPlan, plan_for
from fedmrg_core.data.private_ids import private_ids, private_key
from fedmrg_core.data.source import CachesHashes, Source
from fedmrg_core.data.splits.assignment import Assignment
from fedmrg_core.data.views import with_lateral
from fedmrg_core.errors import DataError, first_line
from fedmrg_core.files import write_atomic
from fedmrg_core.hashes import json_sha256
from fedmrg_core.types import PARTS, Study

log = logging.getLogger(__name__)

LAYOUT = 4
"""Version of the folder's own layout, a part of its key."""


@dataclass(frozen=True)
class _Ready:
    """What the folder will hold. `left_out` joins the source's counts and ours."""

    plan: DataPlan
    studies: list[Study]
    assignment: Assignment
    shards: list[Shard]
    left_out: dict[str, int]
    key: bytes | None


def prepare(
    data: DataConfig,
    split: str,
    seed: int,
    image_size: int,
    cache_dir: Path,
    clients: int | None,
    progress: bool,
    views: int = 1,
) -> Federation:
    """The federation of a split: found in `cache_dir`, else read, verified, decoded and cached there.

    split: "phantom/group", "iu_xray/group", .. ; a `data.path` that holds a manifest.csv is its own split. seed: the
    run's; it selects the draw. image_size: pixels per side. clients: None = all; else the first so many seen hospitals.
    views: films per study, see `model.views`. Raises DataError (bad rows, a hash that differs, by part) or ConfigError.
    """
    plan = plan_for(data, split, seed, clients)
    if views > 1:
        with_lateral(plan.source)
    try:
        return _prepare(plan, image_size, Path(cache_dir).resolve(), data.on_bad, progress, views)
    except OSError as error:
        why = error.strerror or first_line(error)
        raise DataError(f"the cache cannot be written or read ({why})", str(error.filename or cache_dir)) from None


def checked_assignment(plan: DataPlan) -> tuple[list[Study], Assignment]:
    """A plan's studies and their assignment, after every check that a run makes before it decodes films.

    Raises DataError: bad rows, a hash that differs, a patient in two hospitals or parts, no train or test studies.
    """
    studies = plan.source.studies()
    assignment = plan.assign(studies)
    assignment.check(studies)
    return studies, assignment


def _prepare(plan: DataPlan, image_size: int, cache: Path, on_bad: str, progress: bool, views: int) -> Federation:
    if isinstance(plan.source, CachesHashes):
        plan.source.use_cache(cache)
    everything, assignment = checked_assignment(plan)
    wanted = set(assignment.ids())
    studies = [study for study in everything if study.study_id in wanted]
    shards = build_films(plan.source, studies, image_size, cache, progress, views)
    bad = _bad_films(plan.source, studies, Films(shards, image_size, views).bad(), image_size, on_bad)
    kept = assignment.without(bad)
    kept.check(studies)
    left_out = {**plan.source.left_out, **({"bad_image": len(bad)} if bad else {})}
    left_out |= {"not_in_split": len(everything) - len(studies)} if len(everything) > len(studies) else {}
    key = private_key(cache) if plan.source.credentialed else None
    return _folder(_Ready(plan, studies, kept, shards, left_out, key), image_size, cache, views)


def _bad_films(source: Source, studies: Sequence[Study], rows: list[int], size: int, on_bad: str) -> set[str]:
    """Ids of studies whose film cannot be read; with on_bad "stop" the first one's own error, and how many more."""
    if rows and on_bad != "skip":
        try:
            source.image(studies[rows[0]], size)
        except DataError as error:
            more = ", ".join(f"'{studies[row].study_id}'" for row in rows[1:6])
            tail = f" (and {len(rows) - 1} more films: {more})" if more else ""
            raise DataError(f"{error}{tail}; on_bad=skip leaves bad rows out") from None
        raise DataError(f"the film of '{studies[rows[0]].study_id}' could not be read earlier; delete the film cache")
    return {studies[row].study_id for row in rows}


def _meta(ready: _Ready, size: int) -> dict[str, Any]:
    plan, assignment = ready.plan, ready.assignment
    return {
        "layout": LAYOUT,
        "name": plan.source.name,
        "split": plan.split,
        "version": plan.version,
        "credentialed": plan.source.credentialed,
        "key_sha256": ready.key and hashlib.sha256(ready.key).hexdigest(),
        "split_sha256": assignment.sha256(),
        "data_sha256": plan.source.fingerprint(),
        "left_out": dict(sorted(ready.left_out.items())),
        "image_size": size,
        "transform": TRANSFORM,
        "hospitals": sorted(assignment.hospitals),
        "unseen": sorted(assignment.unseen),
    }


def _found(target: Path, meta: dict[str, Any]) -> Federation | None:
    """The cached federation; None where there is none, or a damaged one, which is removed."""
    if not target.exists():
        return None
    try:
        stored = json.loads((target / META).read_text("utf-8"))
        if {name: stored.get(name) for name in meta} != meta:
            raise DataError(f"{META} differs from what it was made of", str(target))
        found = Federation.open(target)
    except (DataError, OSError, ValueError, AttributeError, RecursionError) as error:
        log.warning("cached federation is damaged (%s); it is made again: %s", first_line(error), target)
        shutil.rmtree(target)
        return None
    log.info("federation found: %s", target)
    return found


def _folder(ready: _Ready, size: int, cache: Path, views: int) -> Federation:
    """Find the folder, or write a temporary one and rename it. If another run was faster, its folder is used."""
    meta = _meta(ready, size) | ({"views": views} if views > 1 else {})
    key = json_sha256(meta)[:32]
    target = cache / "federations" / key
    found = _found(target, meta)
    if found is not None:
        return found
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=target.parent))  # mode 0700: it may hold private text
    try:
        _write(ready, temporary, meta | {"shards": [(os.path.relpath(path, target), n) for path, n in ready.shards]})
        os.rename(temporary, target)
        log.info("federation written: %s (%d studies)", target, len(ready.studies))
    except OSError:
        if not (target / META).exists():
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Federation.open(target)


def _write(ready: _Ready, directory: Path, meta: dict[str, Any]) -> None:
    location: dict[str, tuple[int, int]] = {}
    for at, name in enumerate(meta["hospitals"]):
        for number, part in enumerate(PARTS):
            location |= dict.fromkeys(ready.assignment.hospitals[name][part], (at, number))
    membership = np.array([location.get(study.study_id, (-1, -1)) for study in ready.studies], np.int16).reshape(-1, 2)
    texts = {
        "study_id": [study.study_id for study in ready.studies],
        "patient_id": [study.patient_id for study in ready.studies],
        "report": [study.report for study in ready.studies],
    }
    if ready.key is not None:
        for kind in ("study", "patient"):
            texts[f"{kind}_id"] = private_ids(texts[f"{kind}_id"], kind, ready.key)
    write_tables(directory, texts, np.array([study.labels for study in ready.studies], np.int8), membership)
    meta |= {"tables": table_hashes(directory)}
    write_atomic(directory / META, (json.dumps(meta, indent=1) + "\n").encode())
