"""A trained model written as files that transformers and peft read, with a model card (docs/export.md)."""

from __future__ import annotations

from pathlib import Path

from benchmark.run.model_card import model_card
from benchmark.run.options import Options
from benchmark.run.trained import TrainedModel, load_trained
from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.errors import ConfigError, FedMRGError
from fedmrg_core.files import write_atomic
from fedmrg_core.models.exported import export_model


def export(trained: TrainedModel, folder: Path) -> None:
    """Raises ConfigError where no single adapter generates what the run's model does."""
    algorithm, config = trained.config.algorithm, trained.config
    if type(algorithm).study_weights is not Algorithm.study_weights:
        raise ConfigError(f"{config.name} weighs its adapters anew for each study: no single adapter generates that.")
    weights = {name: float(weight) for name, weight in algorithm.adapter_weights(trained.client).items()}
    export_model(trained.model, weights, algorithm.prompt_weight(), config.generation, folder, trained.changed)
    write_atomic(folder / "README.md", model_card(trained, folder).encode())


def export_shared(run_id: str, options: Options, folder: Path) -> bool:
    """The shared model of a run that has just finished, as MLflow's model. False where it cannot be exported."""
    try:
        export(load_trained(run_id, "", options), folder)
    except FedMRGError:
        return False
    return True
