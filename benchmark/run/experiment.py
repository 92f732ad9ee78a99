"""The stages of one run: data, base, rounds, evaluation, result. Every stage leaves what it made on disk."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmark.run import provenance
from benchmark.run.options import BENCH_VERSION, DRAWS, Options, new_run_id
from benchmark.run.settings import Config
from benchmark.run.workers import Workers
from benchmark.scoring.generations import meteor_ready, score_generations
from benchmark.scoring.outputs import PER_STUDY, save_per_study
from fedmrg_core.algorithms.base import ServerState
from fedmrg_core.data.cache.federation import Federation
from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.async_checkpoint import AsyncCheckpointer
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.device import determinism
from fedmrg_core.engine.failures import Faults
from fedmrg_core.engine.generation_cache import GenerationCache
from fedmrg_core.engine.ray.gpu_fit import fit_gpu
from fedmrg_core.engine.ray.pool import PoolConfig
from fedmrg_core.engine.rounds import RoundLog, params_sha256, run_rounds
from fedmrg_core.engine.warmup import ensure_base
from fedmrg_core.engine.worker import WorkerSpec
from fedmrg_core.errors import FedMRGError
from fedmrg_core.evaluate import evaluate
from fedmrg_core.files import write_atomic
from fedmrg_core.paths import ROOT
from fedmrg_core.runfolder import RunFolder
from fedmrg_core.tracking import Tracker, default_uri, describe

WRITTEN = "written.jsonl"
"""In the run's folder, until `generations.parquet` is there: batches of reports that are done."""


class Experiment:
    """One run. `run()` takes it from wherever it stands to a finished result."""

    def __init__(self, config: Config, options: Options) -> None:
        self.config, self.options = config, options
        self.algorithm = config.algorithm
        self.faults = Faults.from_table(config.faults)
        self.run_id = options.resume or new_run_id(config)
        self.progress = not options.quiet and sys.stderr.isatty()
        self.seconds: dict[str, float] = {}
        self.late_failures: list[dict[str, Any]] = []
        self.result: dict[str, Any] = {
            "schema_version": 1,
            "bench_version": BENCH_VERSION,
            "run_id": self.run_id,
            "status": "failed",
            "algorithm": config.name,
            "split": config.run.split,
            "preset": config.run.preset,
            "seed": config.run.seed,
            "config": config.as_dict(),
            "config_hash": config.hash(),
        }

    def run(self) -> dict[str, Any]:
        """Prepare, train, evaluate, store. Ray and MLflow are shut down whatever happens."""
        start = time.perf_counter()
        os.environ.setdefault("FEDMRG_CACHE", str(self.options.cache))
        device = self.config.device
        facts = provenance.collect(ROOT, device.device, device.precision)
        facts["determinism"] = determinism(device)
        self.result["provenance"] = {**facts, "started": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        federation = self._timed("data", self.prepare)
        self._check_faults(federation)
        self.result["split"] = federation.split
        self.folder = RunFolder(self.options.runs / self.run_id)
        write_atomic(self.folder.path / "config.json", json.dumps(self.config.as_dict(), indent=1).encode())
        self.tracker = Tracker(default_uri(ROOT)) if self.options.track else None
        try:
            self._work(federation, start)
        except KeyboardInterrupt:
            self._stopped("interrupted", "interrupted; continue it with --resume " + self.run_id, start)
            raise FedMRGError(f"interrupted; `fedmrg bench --resume {self.run_id}` continues it") from None
        except BaseException as error:
            with suppress(OSError):  # a full disk has no room for this either
                self._stopped("failed", f"{type(error).__name__}: {error}", start)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                goes_on = f"make room, then `fedmrg bench --resume {self.run_id}` goes on from the last finished round"
                raise FedMRGError(f"the disk is full ({error.filename or self.folder.path}): {goes_on}") from None
            raise
        return self.result

    def _check_faults(self, federation: Federation) -> None:
        feedback = self.config.codec.error_feedback and self.config.codec.kind != "identity"
        clients = [hospital.name for hospital in federation.hospitals if hospital.seen]
        self.faults.check(clients, self.config.pool.actors, feedback)

    def _timed(self, name: str, stage: Callable[..., Any], *args: Any) -> Any:
        start = time.perf_counter()
        try:
            return stage(*args)
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def prepare(self) -> Federation:
        """The federation of the config's data and split, from the cache where it is there."""
        config = self.config
        return prepare(
            data=config.data,
            split=config.run.split,
            seed=config.run.seed,
            image_size=config.model.image_size,
            cache_dir=self.options.cache,
            clients=config.run.clients or None,
            progress=self.progress,
        )

    def _base(self) -> Path:
        """The warmed-up base, of the seed's draw."""
        from fedmrg_core.data.phantom import PhantomConfig, PublicCorpus

        model = self.config.model
        draw = self.config.run.seed % DRAWS
        corpus = PublicCorpus(PhantomConfig.load(), model.warmup_studies, draw)
        return ensure_base(model, corpus, draw, self.options.cache, self.progress)

    def _work(self, federation: Federation, start: float) -> None:
        self.base = self._timed("base", self._base)
        base_facts = json.loads((self.base / "base.json").read_text())
        self.result["provenance"].update(
            split_sha256=federation.split_sha256,
            data_sha256=federation.data_sha256,
            model_sha256=base_facts["sha256"],
            left_out=federation.left_out,
        )
        if self.tracker:
            self.tracker.start(**describe(self.result), resume=bool(self.options.resume))
        spec = WorkerSpec(
            federation=str(federation.directory),
            base=str(self.base),
            model=self.config.model,
            algorithm=self.algorithm,
            train=self.config.train,
            seed=self.config.run.seed,
            device=self.config.device,
            faults=self.faults.faults,
        )
        with ExitStack() as preparing, ExitStack() as running:
            preparing.enter_context(meteor_ready(self.config, federation))
            workers = self._timed("workers", running.enter_context, Workers(spec, self._placed(spec, federation)))
            server, store = self._timed("train", self._train, federation, workers)
            frame = self._timed("generate", self._generate, federation, workers, server, store)
            self._timed("workers", running.close)
            self._timed("metrics", preparing.close)
            scores, missing = self._timed("metrics", self._score, federation, frame)
        self._finish(federation, frame, scores, missing, params_sha256(server, store), start)

    def _placed(self, spec: WorkerSpec, federation: Federation) -> PoolConfig:
        """The pool's settings; on a GPU with as many actors as fit it, of which the result tells."""
        films = self.config.evaluate.batch_size
        pool, facts = fit_gpu(self.config.pool, spec, federation, films)
        if facts:
            self.result["provenance"]["gpu"] = facts
        if facts and pool.actors < facts["asked"]:
            print(f"fedmrg: {pool.actors} of {facts['asked']} actors: more do not fit the GPU", file=sys.stderr)
        return pool

    def _train(self, federation: Federation, workers: Workers) -> tuple[ServerState, ClientStore]:
        """Rounds from the last checkpoint on, or from the start; none for a trivial row."""
        found = checkpoint.load(self.folder.path / "checkpoints") if self.options.resume else None
        hospitals = [hospital for hospital in federation.hospitals if hospital.seen]
        server, store = found or (
            self.algorithm.init_server(workers.shared_params(), len(hospitals)),
            ClientStore(),
        )
        self.folder.truncate_to_round(server.round)
        if not self.algorithm.trains:
            return server, store
        train, keep, wait_s = self.config.train, self.config.keep_checkpoints, self.config.pool.wait_s
        bar = tqdm(total=train.rounds, initial=server.round, desc="rounds", unit="round", disable=not self.progress)

        def on_round(server: ServerState, store: ClientStore, log: RoundLog) -> None:
            self._after_round(server, store, log, checkpoints)
            bar.update()
            bar.set_postfix(loss=f"{log.row.get('loss', 0):.3f}")

        pool, seed = workers.pool, self.config.run.seed
        policy = self.faults.policy
        place = self.folder.path / "checkpoints"
        with AsyncCheckpointer(place, keep, wait_s, self._checkpoint) as checkpoints:
            server = run_rounds(self.algorithm, federation, train, seed, pool, server, store, on_round, policy)
        bar.close()
        return server, store

    def _after_round(
        self, server: ServerState, store: ClientStore, log: RoundLog, checkpoints: AsyncCheckpointer
    ) -> None:
        """The checkpoint goes last, beside the next round: a round whose lines are there but whose checkpoint is not
        is run again."""
        start = time.perf_counter()
        self.folder.append_ledger(log.ledger)
        self.folder.append_round(log.row)
        if self.tracker:
            self.tracker.log_round(log.round, log.row)
        checkpoints.save(server, store)
        self.seconds["checkpoint"] = self.seconds.get("checkpoint", 0.0) + time.perf_counter() - start

    def _checkpoint(self, folder: Path, server: ServerState, store: checkpoint.States, keep: int) -> None:
        if self.faults.disk_full(server.round - 1) and not self.options.resume:
            raise OSError(errno.ENOSPC, "injected by the fault file")
        checkpoint.save(folder, server, store, keep)

    def _generate(self, federation: Federation, workers: Workers, server: ServerState, store: ClientStore) -> Any:
        bar = tqdm(desc="writing reports", unit="batch", disable=not self.progress)

        def on_batch(done: int, total: int) -> None:
            bar.total = total
            bar.update()

        config = self.config.evaluate
        cache = GenerationCache(None if self._hides_text(federation) else self.folder.path / WRITTEN, self._facts())
        pool, seed = workers.pool, self.config.run.seed
        known = len(pool.events)
        try:
            return evaluate(self.algorithm, federation, server, store, pool, config, seed, on_batch, cache)
        finally:
            self.late_failures = pool.events[known:]
            bar.close()

    def _facts(self) -> tuple[object, ...]:
        """What decides reports besides the parameters that a run trains."""
        return self.config.model, self.result["provenance"]["model_sha256"], self.config.device

    def _hides_text(self, federation: Federation) -> bool:
        return federation.credentialed and not self.config.data.allow_text

    def _score(self, federation: Federation, frame: Any) -> tuple[dict[str, Any], dict[str, str]]:
        if self.progress:
            print("scoring (METEOR's first time with new words takes some 10 s more)", file=sys.stderr)
        card = score_generations(self.config, federation, frame)
        save_per_study(card.per_study, self.folder.path / PER_STUDY)
        return {key: asdict(score) for key, score in card.scores.items()}, card.missing

    def _finish(
        self,
        federation: Federation,
        frame: Any,
        scores: dict[str, Any],
        missing: dict[str, str],
        params: str,
        start: float,
    ) -> None:
        if self._hides_text(federation):
            frame = frame.assign(reference="", hypothesis="")
        self.folder.write_generations(frame)
        (self.folder.path / WRITTEN).unlink(missing_ok=True)
        self.result.update(status="finished", scores=scores, missing_metrics=missing, params_sha256=params)
        self._close(start)
        if self.tracker:
            rounds = self.folder.rounds()
            self.tracker.log_scores(len(rounds), scores)
            names = ("result.json", "rounds.jsonl", "ledger.jsonl", "config.json", "generations.parquet", PER_STUDY)
            self.tracker.log_artifacts([self.folder.path / name for name in names])
            self.tracker.finish("finished")

    def _stopped(self, status: str, why: str, start: float) -> None:
        self.result.update(status=status, error=why, scores={})
        self._close(start)
        if self.tracker:
            self.tracker.finish(status)

    def _close(self, start: float) -> None:
        """Write result.json with what is known by now."""
        self.result["communication"] = communication(self.folder.ledger())
        self.seconds["total"] = time.perf_counter() - start
        rows = self.folder.rounds()
        self.result["failures"] = [failure for row in rows for failure in row["failures"]] + self.late_failures
        engine = sum(row["seconds"]["total"] for row in rows)
        self.result["provenance"]["seconds"] = {name: round(value, 3) for name, value in self.seconds.items()}
        self.result["provenance"]["client_seconds"] = round(sum(row["seconds"]["clients"] for row in rows), 3)
        self.result["provenance"]["round_seconds"] = round(engine, 3)
        self.folder.write_result(self.result)


def communication(ledger: list[dict[str, Any]]) -> dict[str, Any]:
    """Bytes of the whole run, and of each round."""
    rounds: dict[int, dict[str, int]] = {}
    for row in ledger:
        entry = rounds.setdefault(row["round"], {"upload_bytes": 0, "download_bytes": 0})
        entry[f"{row['direction']}_bytes"] += row["bytes"]
    total = {key: sum(entry[key] for entry in rounds.values()) for key in ("upload_bytes", "download_bytes")}
    return {**total, "per_round": [{"round": number, **entry} for number, entry in sorted(rounds.items())]}
