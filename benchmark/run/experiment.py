"""One run from its settings to its result: data -> base -> workers -> rounds -> generate -> score -> result.

result = run_experiment(settings.load("fedavg", split="phantom/ci", overrides=["rounds=1", "actors=0"]))
"""

from __future__ import annotations

import errno
import json
import os
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from benchmark.run import provenance, stages
from benchmark.run.export import export_shared
from benchmark.run.interrupt import interruptible
from benchmark.run.mirror import describe
from benchmark.run.options import BENCH_VERSION, Options, new_run_id
from benchmark.run.origin import ResumeRefused, settle_origin
from benchmark.run.progress import Progress
from benchmark.run.record import Clock, Record
from benchmark.run.settings import Config
from benchmark.run.stages import Context
from benchmark.run.workers import Workers
from benchmark.scoring.generations import meteor_ready
from benchmark.scoring.labelers import check_labeler
from fedmrg_core.data.cache.federation import Federation
from fedmrg_core.engine.base_cache import check_base
from fedmrg_core.engine.device import determinism
from fedmrg_core.engine.failures import Faults
from fedmrg_core.engine.model_check import check_model
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.errors import ConfigError, FedMRGError, Interrupted
from fedmrg_core.files import write_atomic
from fedmrg_core.models.identity import describe_model
from fedmrg_core.models.image_size import with_image_size
from fedmrg_core.models.packaged import fetch_missing
from fedmrg_core.models.pretrained import check_checkpoints
from fedmrg_core.models.registry import get_language_model, is_checkpoint
from fedmrg_core.paths import ROOT
from fedmrg_core.runfolder import CONFIG, RunFolder, run_folder
from fedmrg_core.tracking import Tracker, default_uri


def run_experiment(config: Config, options: Options | None = None) -> dict[str, Any]:
    """Run (or resume) one experiment; returns the content of its `result.json`.

    Raises FedMRGError for a user's mistake, before any training. A run that fails or is interrupted later leaves a
    `result.json` with that status.
    """
    options = options or Options()
    config = _on_device(config)
    fetch_missing((config.model.encoder, config.model.lm), Progress(quiet=options.quiet).say)
    check_checkpoints(config.model.encoder, config.model.lm)
    config = replace(config, model=with_image_size(config.model))
    _check_models(config, options)
    check_labeler(config)
    with interruptible():
        return _run(config, options)


def _check_models(config: Config, options: Options) -> None:
    """Before anything long, if a model comes from a checkpoint: one step without weights. Raises ConfigError if the
    models cannot work together, or not with the algorithm."""
    model = config.model
    if config.algorithm.trains and (is_checkpoint(model.encoder) or not get_language_model(model.lm).trained_here):
        sizes = check_model(model, config.algorithm)
        Progress(quiet=options.quiet).say(f"models: {model.encoder} and {model.lm}, {sizes}")


def _on_device(config: Config) -> Config:
    """`device = "auto"` resolved. Raises ConfigError where a GPU is asked for and torch sees none."""
    import torch

    device = config.device.device
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("engine.device = cuda, but torch sees no GPU here. Use auto or cpu.")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return replace(config, device=replace(config.device, device=device))


def _run(config: Config, options: Options) -> dict[str, Any]:
    os.environ.setdefault("FEDMRG_CACHE", str(options.cache))
    clock, progress = Clock(), Progress(options.quiet)
    if options.resume:
        run_folder(options.runs, options.resume)
    result = _head(config, options.resume or new_run_id(config))
    run = config.run
    progress.say(f"run {result['run_id']}: {config.name} on {run.split}, preset {run.preset}, seed {run.seed}")
    faults = Faults.from_table(config.faults)
    with clock.timed("data"):
        federation = stages.load_data(config, options.cache, progress)
    _check_faults(faults, config, federation)
    result["split"] = federation.split
    folder = RunFolder(options.runs / result["run_id"])
    record = Record(folder, result, clock, Tracker(default_uri(ROOT)) if options.track else None)
    context = Context(config, options, faults, record, progress)
    with folder.locked():
        if done := folder.finished():  # another process was faster
            return done
        write_atomic(folder.path / CONFIG, json.dumps(config.as_dict(), indent=1).encode())
        try:
            _stages(context, federation)
        except ResumeRefused:
            raise
        except BaseException as error:
            _stopped(record, error)
        record.complete_mirror(federation, partial(export_shared, record.run_id, options))
    return record.result


def _head(config: Config, run_id: str) -> dict[str, Any]:
    """What is known of a result before the run: who, what, where."""
    device = config.device
    facts = provenance.collect(ROOT, device.device, device.precision)
    facts["models"] = {key: describe_model(key, getattr(config.model, key)) for key in ("encoder", "lm")}
    facts |= {"determinism": determinism(device), "started": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
    return {
        "schema_version": 1,
        "bench_version": BENCH_VERSION,
        "run_id": run_id,
        "status": "failed",
        "algorithm": config.name,
        "split": config.run.split,
        "preset": config.run.preset,
        "seed": config.run.seed,
        "config": config.as_dict(),
        "config_hash": config.hash(),
        "provenance": facts,
    }


def _check_faults(faults: Faults, config: Config, federation: Federation) -> None:
    feedback = config.codec.error_feedback and config.codec.kind != "identity"
    clients = [hospital.name for hospital in federation.hospitals if hospital.seen]
    faults.check(clients, config.pool.actors, feedback)


def _stages(context: Context, federation: Federation) -> None:
    record, clock = context.record, context.record.clock
    with clock.timed("base"):
        made_by = record.result["provenance"]
        base = stages.load_base(context.config, context.options.cache, context.progress, made_by)
    record.result["provenance"].update(
        split_sha256=federation.split_sha256,
        data_sha256=federation.data_sha256,
        model_sha256=check_base(base)["sha256"],
        left_out=federation.left_out,
        private=stages.hides_text(context.config, federation),
    )
    record.result["provenance"].update(settle_origin(record.folder, record.result["provenance"]))
    if record.tracker:
        record.tracker.start(describe(record.result, system=True), resume=bool(context.options.resume))
    spec = stages.worker_spec(context.config, federation, base, context.faults.faults)
    with ExitStack() as preparing, ExitStack() as running:
        preparing.enter_context(meteor_ready(context.config, federation))
        with clock.timed("workers"):
            actors = context.config.pool.actors
            context.progress.say(f"workers: {actors} Ray actors" if actors else "workers: this process")
            workers = running.enter_context(Workers(spec, stages.fit_pool(context, spec, federation)))
        with clock.timed("train"):
            server, store = stages.train(context, federation, workers)
        with clock.timed("generate"):
            frame = stages.generate(context, federation, workers.pool, server, store)
        with clock.timed("workers"):
            running.close()
        with clock.timed("metrics"):
            preparing.close()
            card = stages.score(context, federation, frame)
    stages.save_generations(context, federation, frame)
    record.finish(card, params_sha256(server, store))


def _stopped(record: Record, error: BaseException) -> None:
    """What a run that did not end by itself leaves and says. A result that is on disk stays as it is."""
    again = f"`fedmrg bench --resume {record.run_id}`"
    if record.finished:
        return
    if isinstance(error, KeyboardInterrupt):
        record.stop("interrupted", f"interrupted; continue it with --resume {record.run_id}")
        raise Interrupted(f"interrupted; {again} continues it") from None
    with suppress(OSError):  # a full disk has no room for this either
        record.stop("failed", f"{type(error).__name__}: {error}")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        goes_on = f"make room, then {again} goes on from the last finished round"
        raise FedMRGError(f"the disk is full ({error.filename or record.folder.path}): {goes_on}") from None
    raise error
