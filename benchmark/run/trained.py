"""The model of a finished run, as it generated reports: from the run's last checkpoint and its base, without data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from benchmark.run import settings, stages
from benchmark.run.options import Options
from benchmark.run.settings import Config
from fedmrg_core.adapter_names import is_adapter
from fedmrg_core.algorithms.base import ClientState
from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.base_cache import check_base
from fedmrg_core.engine.device import configure_device
from fedmrg_core.engine.memory.wire import unpack
from fedmrg_core.engine.messages import client_state
from fedmrg_core.errors import ConfigError, DataError, choose
from fedmrg_core.models.packaged import fetch_missing
from fedmrg_core.models.report_model import ReportModel, build_model, load_state
from fedmrg_core.runfolder import CHECKPOINTS, RunFolder, run_folder


@dataclass(frozen=True)
class TrainedModel:
    """client: the hospital whose own model it is, or None for the shared one. changed: whether the algorithm changed
    frozen weights of the language model."""

    result: dict[str, Any]
    config: Config
    model: ReportModel
    client: ClientState | None
    changed: bool


def load_trained(run_id: str, hospital: str, options: Options) -> TrainedModel:
    """hospital: one that trained, for its personal view, or "" for the global view. Raises FedMRGError in one line
    where the run is not finished, has no model, or its files are gone or damaged."""
    folder = run_folder(options.runs, run_id)
    result = RunFolder(folder).finished_result()
    config = settings.from_dict(result["config"])
    config = replace(config, device=replace(config.device, device="cpu", precision="float32"))
    if not config.algorithm.trains:
        raise ConfigError(f"run {run_id} is of {config.name}, which trains no model.")
    found = checkpoint.load(folder / CHECKPOINTS)
    if found is None:
        raise DataError("has no checkpoint: the run's model is lost", str(folder / CHECKPOINTS))
    server, store = found
    client = None
    if hospital:
        choose("hospital", hospital, store.clients())
        client = client_state(hospital, unpack(store.get(hospital)))
    model = _model(config, result, options)
    frozen = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
    state = config.algorithm.eval_params(server, client, frozen)
    changed = any(name.startswith("lm.") and name in frozen and not is_adapter(name) for name in state)
    load_state(model, state)
    return TrainedModel(result, config, model.eval(), client, changed)


def _model(config: Config, result: dict[str, Any], options: Options) -> ReportModel:
    """The model as the algorithm configures it, before training."""
    configure_device(config.device)
    fetch_missing((config.model.encoder, config.model.lm), print)
    base = stages.load_base(config, options.cache)
    if check_base(base)["sha256"] != result["provenance"].get("model_sha256"):
        raise DataError(f"the base is not the one that run {result['run_id']} had: its hash differs", str(base))
    model = build_model(config.model, base, config.run.seed)
    config.algorithm.configure_model(model, config.run.seed)
    return model
