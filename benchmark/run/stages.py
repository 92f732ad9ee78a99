"""The stages of a run, as functions. Each takes what the stages before it made; each leaves its work on disk."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.run.headline import of_round
from benchmark.run.interrupt import interrupt_between_steps
from benchmark.run.options import DRAWS, Options
from benchmark.run.origin import ResumeRefused
from benchmark.run.progress import Progress
from benchmark.run.record import Record
from benchmark.run.settings import Config
from benchmark.run.validation import validate
from benchmark.run.workers import Workers
from benchmark.scoring.generations import score_generations
from benchmark.scoring.outputs import save_per_study
from fedmrg_core.algorithms.base import ServerState
from fedmrg_core.data.cache.federation import Federation
from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.duration import duration
from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.async_checkpoint import AsyncCheckpointer
from fedmrg_core.engine.base_cache import ensure_base
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.failures import Fault, Faults
from fedmrg_core.engine.generation_cache import GenerationCache
from fedmrg_core.engine.model_check import warm_up_seconds
from fedmrg_core.engine.pool import Pool, PoolConfig
from fedmrg_core.engine.ray.gpu_fit import fit_gpu
from fedmrg_core.engine.replica import WorkerSpec
from fedmrg_core.engine.rounds import RoundRecord, run_rounds
from fedmrg_core.errors import DataError
from fedmrg_core.evaluate import evaluate
from fedmrg_core.models.registry import get_language_model
from fedmrg_core.runfolder import CHECKPOINTS, PARTIAL, PER_STUDY, RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from fedmrg_core.data.phantom import PublicCorpus
    from fedmrg_core.metrics.scorecard import Scorecard
    from fedmrg_core.models.config import ModelConfig


BASE_FACTS = ("git_sha", "dirty", "machine", "versions")
"""What `base.json` has of the provenance of the run that built it."""


@dataclass(frozen=True)
class Context:
    """What every stage may use."""

    config: Config
    options: Options
    faults: Faults
    record: Record
    progress: Progress


SILENT = Progress(quiet=True)


def load_data(config: Config, cache: Path, progress: Progress = SILENT) -> Federation:
    """The federation of the config's data and split, from the cache if it is there."""
    progress.say(f"data: {config.run.split}")
    federation = prepare(
        data=config.data,
        split=config.run.split,
        seed=config.run.seed,
        image_size=config.model.image_size,
        cache_dir=cache,
        clients=config.run.clients or None,
        progress=progress.bars,
        views=config.model.views,
    )
    studies = sum(len(rows) for hospital in federation.hospitals for rows in hospital.rows.values())
    progress.say(f"data: {studies} studies of {len(federation.hospitals)} hospitals")
    return federation


def load_base(
    config: Config, cache: Path, progress: Progress = SILENT, made_by: Mapping[str, Any] | None = None
) -> Path:
    """The folder of the warmed-up base, of the seed's draw. made_by: the run's provenance, stored with a new base."""
    draw = config.run.seed % DRAWS
    facts = {name: made_by[name] for name in BASE_FACTS} if made_by else None

    def on_build() -> None:
        seconds = warm_up_seconds(config.model) if get_language_model(config.model.lm).trained_here else 0.0
        cost = f"warming one up takes about {duration(seconds)}, once" if seconds else "it takes one load of the models"
        progress.say(f"base: none is shipped or cached for these [model] settings; {cost}")

    corpus = public_corpus(config.model, draw)
    base = ensure_base(config.model, corpus, draw, cache, progress.bars, facts, on_build)
    progress.say(f"base: {base.name}, {'cached' if base.is_relative_to(cache) else 'shipped'}")
    return base


def public_corpus(model: ModelConfig, draw: int) -> PublicCorpus:
    """The films and reports that a base is warmed up on."""
    from fedmrg_core.data.phantom import PhantomConfig, PublicCorpus

    return PublicCorpus(PhantomConfig.load(), model.warmup_studies, draw)


def worker_spec(config: Config, federation: Federation, base: Path, faults: Sequence[Fault] = ()) -> WorkerSpec:
    """What a worker needs to know to build itself."""
    return WorkerSpec(
        federation=str(federation.directory),
        base=str(base),
        model=config.model,
        algorithm=config.algorithm,
        train=config.train,
        seed=config.run.seed,
        device=config.device,
        faults=tuple(faults),
        generation=config.generation,
    )


def fit_pool(context: Context, spec: WorkerSpec, federation: Federation) -> PoolConfig:
    """The pool's settings; on a GPU with as many actors as fit it, which the result then says."""
    pool, facts = fit_gpu(context.config.pool, spec, federation, context.config.evaluate.batch_size)
    if facts:
        context.record.result["provenance"]["gpu"] = facts
    if facts and pool.actors < facts["asked"]:
        print(f"fedmrg: {pool.actors} of {facts['asked']} actors: more do not fit the GPU", file=sys.stderr)
    return pool


def train(context: Context, federation: Federation, workers: Workers) -> tuple[ServerState, ClientStore]:
    """Run the rounds after the last checkpoint, or all; a trivial row has none."""
    config, record, algorithm = context.config, context.record, context.config.algorithm
    checkpoints = record.folder.path / CHECKPOINTS
    found = _last_checkpoint(record.folder) if context.options.resume else None
    seen = sum(hospital.seen for hospital in federation.hospitals)
    server, store = found or (algorithm.init_server(workers.shared_params(), seen), ClientStore())
    record.folder.truncate_to_round(server.round)
    if not algorithm.trains:
        return server, store
    rounds = config.train.rounds + algorithm.finishes
    context.progress.say(f"training: {rounds} rounds" + (f" from {server.round}" if server.round else ""))
    keep, wait_s = config.keep_checkpoints, config.pool.wait_s
    steps = context.progress.steps("round", rounds, server.round, every=10)
    last_words = "Ctrl-C: the run stops after this round, which a resumed run then has; again: at once"
    stopping = interrupt_between_steps(lambda: context.progress.say(last_words))
    with steps, stopping as round_ended, AsyncCheckpointer(checkpoints, keep, wait_s, _saver(context)) as saving:

        def on_round(server: ServerState, store: ClientStore, log: RoundRecord) -> None:
            if config.val_every and (server.round % config.val_every == 0 or server.round == rounds):
                with record.clock.timed("validate"):
                    scored = algorithm, federation, server, store, workers.pool, config.evaluate, config.run.seed
                    log.row["val"] = validate(*scored)
            with record.clock.timed("checkpoint"):
                _save_round(record, server, store, log, saving)
            steps.at(server.round, note=f"loss {log.row.get('loss', 0):.3f}")
            round_ended()

        policy, seed = context.faults.policy, config.run.seed
        server = run_rounds(algorithm, federation, config.train, seed, workers.pool, server, store, on_round, policy)
    return server, store


def _last_checkpoint(folder: RunFolder) -> tuple[ServerState, ClientStore] | None:
    """The newest checkpoint of a run. Raises ResumeRefused where it, or the lines of its rounds, are damaged."""
    try:
        found = checkpoint.load(folder.path / CHECKPOINTS)
        folder.check_complete(found[0].round if found else 0)
    except DataError as error:
        raise ResumeRefused(str(error)) from None
    return found


def _save_round(
    record: Record, server: ServerState, store: ClientStore, log: RoundRecord, saving: AsyncCheckpointer
) -> None:
    """The checkpoint goes last, written beside the next round: a round with lines but no checkpoint is run again."""
    record.folder.append_ledger(log.ledger)
    record.folder.append_round(log.row)
    if record.tracker:
        record.tracker.log_metrics(log.round, of_round(log.row))
    saving.save(server, store)


def _saver(context: Context) -> Callable[..., None]:
    """`checkpoint.save`, which fails where the fault file says that the disk is full (not in a resumed run)."""

    def save(folder: Path, server: ServerState, store: checkpoint.States, keep: int) -> None:
        if context.faults.disk_full(server.round - 1) and not context.options.resume:
            raise OSError(errno.ENOSPC, "injected by the fault file")
        checkpoint.save(folder, server, store, keep)

    return save


def generate(
    context: Context, federation: Federation, pool: Pool, server: ServerState, store: ClientStore
) -> pd.DataFrame:
    """A report for every film to be scored; what is generated already is read from the run's folder."""
    config, record = context.config, context.record
    context.progress.say("generating reports")
    steps = context.progress.steps("batch")
    partial = None if hides_text(config, federation) else record.folder.path / PARTIAL
    made_by = record.result["provenance"]["model_sha256"]
    facts = (config.model, made_by, config.device, config.generation, config.run.seed)
    cache = GenerationCache(partial, facts)  # the facts decide the reports, besides the trained parameters
    known = len(pool.events)
    try:
        with steps:
            return evaluate(
                config.algorithm, federation, server, store, pool, config.evaluate, config.run.seed, steps.at, cache
            )
    finally:
        record.late_failures = pool.events[known:]


def hides_text(config: Config, federation: Federation) -> bool:
    """Whether report text must not leave the data folder."""
    return federation.credentialed and not config.data.allow_text


def score(context: Context, federation: Federation, frame: pd.DataFrame) -> Scorecard:
    """The scorecard of the reports; leaves the values of each study in the run's folder."""
    context.progress.say("scoring (METEOR's first time with new words takes some 10 s more)")
    card = score_generations(context.config, federation, frame)
    save_per_study(card.per_study, context.record.folder.path / PER_STUDY)
    return card


def save_generations(context: Context, federation: Federation, frame: pd.DataFrame) -> None:
    """The reports, without their text where it must not be shown."""
    folder = context.record.folder
    if hides_text(context.config, federation):
        frame = frame.assign(reference="", hypothesis="")
    folder.write_generations(frame)
    (folder.path / PARTIAL).unlink(missing_ok=True)
