"""Validation scores while a run trains, for its curves. They change no parameter and choose nothing."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fedmrg_core.algorithms.base import Algorithm, ServerState
from fedmrg_core.data.cache.federation import Federation, Hospital
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.pool import Pool
from fedmrg_core.evaluate import PERSONAL_VIEW, EvaluateConfig, evaluate

if TYPE_CHECKING:
    import pandas as pd

MOST = 16
"""Validation studies per hospital, evenly spread over its validation part: a curve need not cost as much as a score."""


def validate(
    algorithm: Algorithm,
    federation: Federation,
    server: ServerState,
    store: ClientStore,
    pool: Pool,
    config: EvaluateConfig,
    seed: int,
) -> dict[str, float]:
    """`val_nll` (nats per token of the references) and `val_ce_f1` (micro, by the rule labeler), over some validation
    studies of the hospitals that train, each in its personal view. Empty where there are none."""
    few, only_val = _few(federation), replace(config, parts=("val",), oracle=False)
    frame = evaluate(algorithm, few, server, store, pool, only_val, seed)
    if not len(frame):
        return {}
    own = frame[frame["view"] == PERSONAL_VIEW]
    return {"val_nll": float(own["nll"].sum() / own["tokens"].sum()), "val_ce_f1": _ce_f1(own)}


def _few(federation: Federation) -> Federation:
    """The federation with few validation studies and no others."""
    found = copy.copy(federation)
    found.hospitals = tuple(_shortened(hospital) for hospital in federation.hospitals if hospital.seen)
    return found


def _shortened(hospital: Hospital) -> Hospital:
    rows = hospital.rows["val"]
    kept = rows[np.linspace(0, len(rows) - 1, min(MOST, len(rows))).round().astype(int)]
    return replace(hospital, rows={**hospital.rows, "train": rows[:0], "val": kept})


def _ce_f1(frame: pd.DataFrame) -> float:
    from fedmrg_core.metrics import clinical
    from fedmrg_core.metrics.scorecard import labeler_of, labels_of

    texts = [*frame["reference"], *frame["hypothesis"]]
    states, version = labels_of(texts, labeler_of("rules"))
    measures = clinical.measures(states[: len(frame)], states[len(frame) :], version)
    (found,) = [measure for measure in measures if measure.name == "ce_f1_micro14"]
    return float(found.combine(found.rows.sum(0)))
