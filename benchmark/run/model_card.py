"""`README.md` of an exported model: what it is, how it scored and on what, and what it must not be used for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmark.run.trained import TrainedModel
from fedmrg_core.hashes import file_sha256
from fedmrg_core.metrics.catalogue import VIEWS, shown
from fedmrg_core.models.exported import read_facts

LIMITS = """\
- For research on report generation only. It is no medical device, nobody has tested it on patients, and its reports
  contain findings that are not in the film and omit findings that are.
- The scores are of the test studies named above and say nothing about other hospitals, devices or patients.
- A model can repeat sentences of its training reports. One that was trained on credentialed data (MIMIC-CXR) may be
  passed on only as that data's use agreement allows. This card holds no text of any report.
- FedMRG here is this project's formalisation, made from the abstract of arXiv 2506.17562 and not checked against the
  paper; nothing here is a result of its authors."""

USE = """\
```python
from pathlib import Path
import torch
from fedmrg_core.data.images import read_film
from fedmrg_core.models.exported import load_exported

model, settings = load_exported(Path("{folder}"))
film = torch.from_numpy(read_film(Path("film.png"), model.config.image_size))
print(model.generate(film[None], **settings).reports[0])
```"""


def model_card(trained: TrainedModel, folder: Path) -> str:
    """Markdown of the card; everything else is in the folder already."""
    result, facts = trained.result, read_facts(folder)
    whose = f"the model of hospital {trained.client.client_id}" if trained.client else "the shared model"
    return "\n\n".join(
        [
            f"# {result['algorithm']} on {result['split']}: {whose}",
            "Chest X-ray film in, report out; trained by simulated federated learning with fedmrg, commit"
            f" {result['provenance'].get('git_sha', 'unknown')[:12]}.",
            _list(_origin(trained, facts)),
            "## Scores",
            _scores(result["scores"], personal=trained.client is not None),
            "## Limits\n\n" + LIMITS,
            "## Use\n\n" + USE.format(folder=folder.name) + "\n\n" + _plain(facts),
            "## Files\n\n" + _list((f"`{name}`", f"sha256 {digest}") for name, digest in _files(folder)),
            "",
        ]
    )


def _origin(trained: TrainedModel, facts: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    result, config = trained.result, trained.config
    revision = f", revision {facts['revision']}" if facts["revision"] else ""
    yield "run", f"{result['run_id']}, preset {result['preset']}, seed {result['seed']}, {config.train.rounds} rounds"
    yield "encoder", f"{config.model.encoder}, films of {config.model.image_size} px"
    yield "language model", f"{config.model.lm}{revision}; tuning: {config.tuning.kind}"
    yield "generation", f"{config.generation.strategy}, prompt weight {facts['prompt_weight']}"
    for name in ("data_sha256", "split_sha256", "model_sha256"):
        meaning = {"data_sha256": "data", "split_sha256": "split", "model_sha256": "base before training"}[name]
        yield f"{meaning}, SHA-256", str(result["provenance"].get(name))
    yield "parameters after training, SHA-256", str(result.get("params_sha256"))


def _scores(scores: Mapping[str, Any], personal: bool) -> str:
    views = [view for view in VIEWS if personal or not view.key.endswith("/personal")]
    lines = ["| score | " + " | ".join(view.title for view in views) + " |", "|---" * (1 + len(views)) + "|"]
    for metric in shown("run"):
        found = [scores.get(f"{view.key}/{metric.key}") for view in views]
        if any(found):
            lines.append(f"| {metric.title} | " + " | ".join(map(_score, found)) + " |")
    meanings = "; ".join(f"{view.title}: {view.meaning}" for view in views)
    return "\n".join(lines) + f"\n\nWith 95 % intervals. {meanings}."


def _score(score: Mapping[str, Any] | None) -> str:
    if not score:
        return ""
    low, high = score.get("low"), score.get("high")
    interval = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
    return f"{score['value']:.3f}{interval}"


def _plain(facts: Mapping[str, Any]) -> str:
    if not facts["adapter"]:
        return f"The language model alone is a plain transformers model: `{facts['language_model']}`."
    return (
        "The language model alone is plain transformers and peft: `AutoModelForCausalLM` of"
        f" `{facts['language_model']}`, then `PeftModel.from_pretrained` of this folder. It reads"
        " `inputs_embeds`, which encoder, connector and prompts make of a film."
    )


def _files(folder: Path) -> Iterable[tuple[str, str]]:
    for path in sorted(folder.rglob("*.safetensors")):
        yield path.relative_to(folder).as_posix(), file_sha256(path)


def _list(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in pairs)
