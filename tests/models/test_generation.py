"""Generation in batches with a cache says what one study at a time says, token by token and without a cache."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmark.run import settings
from fedmrg_core.engine.memory.wire import pack
from fedmrg_core.engine.messages import GenerateTask
from fedmrg_core.engine.worker import Worker
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.contrastive_decoding import contrasted
from fedmrg_core.models.decoding import processors
from fedmrg_core.models.generation import GREEDY, GenerationConfig
from fedmrg_core.models.report_model import ReportModel
from tests.toy import toy_spec

BOTH = ("generic", "specialised")
BOUNDED = GenerationConfig(min_new_tokens=6, max_new_tokens=14, repetition_penalty=1.3, no_repeat_ngram=2)


@pytest.fixture(scope="module", name="worker")
def _worker(toy_cache: Path) -> Worker:
    """A toy model whose adapters say something, and which ends some of its reports early."""
    worker = Worker(toy_spec(toy_cache, "fedmrg"))
    draw = torch.Generator().manual_seed(0)
    for name, parameter in worker.model.named_parameters():
        if name.startswith(("lm.", "connector")) and parameter.ndim == 2:
            spread = 0.3 if ".lora_" in name or ".embed" in name else 0.5
            torch.nn.init.normal_(parameter, std=spread, generator=draw)
    with torch.no_grad():
        worker.model.lm.get_input_embeddings().weight[worker.model.tokenizer.end] *= 1.5
    worker.model.eval()
    return worker


@pytest.fixture(scope="module", name="films")
def _films(worker: Worker) -> Tensor:
    return worker.images(worker.federation.hospitals[0].rows["train"][:3])


def penalised(scores: Tensor, said: Sequence[int], how: GenerationConfig, end: int) -> Tensor:
    """The scores [V] of the next token after `said`, as the settings' definitions have them."""
    scores, size = scores.clone(), how.no_repeat_ngram
    for token in set(said):
        scores[token] *= how.repetition_penalty if scores[token] < 0 else 1 / how.repetition_penalty
    pieces = [tuple(said[i : i + size]) for i in range(len(said) - size + 1)] if size else []
    for piece in pieces:
        if piece[:-1] == tuple(said[len(said) - size + 1 :]):
            scores[piece[-1]] = -torch.inf
    if len(said) < how.min_new_tokens:
        scores[end] = -torch.inf
    return scores


class StepByStep:
    """One study, one token at a time, nothing remembered but the tokens."""

    def __init__(self, model: ReportModel, film: Tensor, adapters: Any, how: GenerationConfig, weight: float = 1.0):
        self.model, self.how, self.weight, self.end = model, how, weight, model.tokenizer.end
        self.read = model.read(film[None], adapters, None, weight)
        self.longest = how.longest(model.config.max_tokens)

    def scores(self, said: Sequence[int]) -> Tensor:
        context = self.read.context
        words = self.model.lm.get_input_embeddings()(torch.tensor([said] * len(context), dtype=torch.int64))
        with torch.no_grad(), self.model.adapters.path(self.read.adapters):
            inputs = torch.cat([context, words], dim=1)
            logits = self.model.lm(inputs_embeds=inputs, use_cache=False).logits[:, -1].float()
        last: Tensor = contrasted(logits[0], logits[1], self.weight) if self.read.contrast else logits[0]
        last = last.log_softmax(dim=-1) if self.how.strategy == "beam" else last
        return penalised(last, said, self.how, self.end)

    def ends(self, said: Sequence[int]) -> bool:
        return said[-1] == self.end or len(said) == self.longest

    def greedy(self) -> list[int]:
        said: list[int] = []
        while not said or not self.ends(said):
            said.append(int(self.scores(said).argmax()))
        return said

    def beam(self) -> list[int]:
        """Beams stop when the best growing one, at its present length, is worse than the worst finished one."""
        count, power = self.how.beams, self.how.length_penalty
        growing: list[tuple[float, list[int]]] = [(0.0, [])]
        finished: list[tuple[float, list[int]]] = []
        while growing:
            grown = [(s + v, [*said, i]) for s, said in growing for i, v in enumerate(self.scores(said).tolist())]
            best = sorted(grown, key=lambda one: -one[0])[: 2 * count]
            finished += [(s / len(said) ** power, said) for s, said in best[:count] if self.ends(said)]
            finished = sorted(finished, key=lambda one: -one[0])[:count]
            growing = [one for one in best if not self.ends(one[1])][:count]
            if (
                len(finished) == count
                and growing[:1]
                and growing[0][0] / len(growing[0][1]) ** power <= finished[-1][0]
            ):
                break
        return finished[0][1]


@pytest.mark.parametrize(
    ("how", "weight"),
    [
        (GREEDY, 1.0),
        (BOUNDED, 1.0),
        (BOUNDED, 1.5),
        (GenerationConfig("beam", length_penalty=2.0), 1.0),
        (replace(BOUNDED, strategy="beam", beams=2, length_penalty=0.0), 1.5),
    ],
    ids=["greedy", "penalties", "contrast with penalties", "beam", "all together"],
)
def test_a_batch_with_a_cache_is_step_by_step(
    worker: Worker, films: Tensor, how: GenerationConfig, weight: float
) -> None:
    model = worker.model
    own = torch.tensor([1.0, 0.0, 2.0])
    made = model.generate(films, {"generic": 1.0, "specialised": own}, None, weight, how)
    for number, film in enumerate(films):
        alone = StepByStep(model, film, {"generic": 1.0, "specialised": float(own[number])}, how, weight)
        said = alone.beam() if how.strategy == "beam" else alone.greedy()
        assert made.reports[number] == model.tokenizer.decode(said)
        assert made.cut[number] == (model.tokenizer.end not in said)
    assert len(set(made.reports)) > 1


def test_sampling_is_a_function_of_seed_and_study(worker: Worker, films: Tensor) -> None:
    how = GenerationConfig("sample", top_k=50, top_p=0.95, sampling_temperature=0.9)

    def draw(chosen: list[int], seeds: list[int], weight: float = 1.0) -> list[str]:
        return worker.model.generate(films[chosen], BOTH, None, weight, how, seeds).reports

    reports = draw([0, 1, 2], [5, 6, 7])
    assert draw([0, 1, 2], [5, 6, 7]) == reports
    assert draw([2, 0], [7, 5]) == [reports[2], reports[0]], "another batch"
    assert draw([0, 1, 2], [5, 8, 7])[1] != reports[1]
    assert draw([0], [5], 1.5) == draw([0, 1], [5, 6], 1.5)[:1]


def test_sampling_draws_by_probability() -> None:
    """Four tokens of known probability; with top_k = 2 the two likeliest, renormalised."""
    scores = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    for how, expected in (
        (GenerationConfig("sample"), [0.1, 0.2, 0.3, 0.4]),
        (GenerationConfig("sample", top_k=2), [0, 0, 3 / 7, 4 / 7]),
        (GenerationConfig("sample", top_p=0.6), [0, 0, 3 / 7, 4 / 7]),
        (GenerationConfig("sample", sampling_temperature=0.5), [1 / 30, 4 / 30, 9 / 30, 16 / 30]),
    ):
        steps = processors(how, 0, range(2000), None, torch.device("cpu"))
        drawn = steps(torch.zeros(2000, 0, dtype=torch.int64), scores.expand(2000, 4)).argmax(dim=-1)
        found = drawn.bincount(minlength=4) / 2000
        torch.testing.assert_close(found, torch.tensor(expected), atol=0.04, rtol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("strategy", ["greedy", "beam", "sample"])
def test_bounds_and_penalties_work_on_a_gpu(strategy: str, toy_cache: Path) -> None:
    spec = toy_spec(toy_cache, "fedmrg")
    worker = Worker(replace(spec, device=replace(spec.device, device="cuda")))
    films = worker.images(worker.federation.hospitals[0].rows["train"][:3])
    made = worker.model.write(worker.model.read(films, ("generic",)), replace(BOUNDED, strategy=strategy), range(3))
    assert len(made.reports) == 3


def test_a_worker_seeds_each_study_by_the_run(worker: Worker) -> None:
    rows = tuple(worker.federation.hospitals[0].rows["test"][:4].tolist())
    reports = []
    for seed, chosen in ((0, rows), (0, rows[::-1]), (1, rows)):
        worker.spec = replace(worker.spec, seed=seed, generation=GenerationConfig("sample"))
        shared = {name: worker.initial[name] for name in worker.shared_names()}
        reports.append(worker.generate(GenerateTask(chosen), pack({"shared": shared})).reports)
    assert reports[0] == reports[1][::-1]
    assert reports[0] != reports[2]


def test_the_defaults_are_those_of_the_file_and_leave_the_hash() -> None:
    stored = tomllib.loads((settings.CONFIGS / "defaults.toml").read_text())["generation"]
    assert stored == asdict(GREEDY)
    plain = settings.load("fedmrg")
    without = {key: value for key, value in plain.as_dict().items() if key != "generation"}
    assert settings.from_dict(without) == plain, "a result from before these settings"
    hashes = {settings.load("fedmrg", overrides=[one]).hash() for one in ("strategy=beam", "no_repeat_ngram=3")}
    assert len(hashes | {plain.hash()}) == 3


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("strategy=beams", "Did you mean 'beam'"),
        ("generation.beams=0", "1 to 64"),
        ("repetition_penalty=0", "above 0"),
        ("top_p=1.5", "at most 1"),
        ("min_new_tokens=96", "no room for an end below 96 tokens"),
    ],
)
def test_a_wrong_setting_is_refused(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings.load("fedavg", overrides=[override])
