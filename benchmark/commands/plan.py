"""`fedmrg plan`: what a federation would cost, before it has data or weights.

fedmrg plan --algo fedmrg --preset smollm2 --clients 10 --studies 300
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from benchmark.run import settings
from fedmrg_core.duration import duration

if TYPE_CHECKING:
    from benchmark.run.plan import Plan

LINKS = (10, 100, 1000)
"""Mbit per second."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg plan`."""
    add = parser.add_argument
    add("--algo", metavar="NAME", default="fedmrg", help="algorithm (default: fedmrg)")
    add("--preset", metavar="NAME", help=f"{', '.join(settings.preset_names())} (default: tiny)")
    add("--clients", metavar="N", type=int, default=5, help="hospitals that train (default: 5)")
    add("--studies", metavar="N", type=int, default=400, help="training studies of each (default: 400)")
    add("--rounds", metavar="N", type=int, help="federated rounds (default: the preset's)")
    add("--set", metavar="K=V", nargs="+", action="extend", default=[], help="any setting of defaults.toml")
    add("--no-probe", action="store_true", help="measure no steps: sizes and bytes only")
    add("--json", action="store_true", help="print JSON instead of the tables")


def main(args: argparse.Namespace) -> int:
    """Print the plan."""
    from benchmark.run.plan import make_plan, with_probe
    from fedmrg_core.errors import in_range

    for name in ("clients", "studies"):
        in_range(f"--{name}", getattr(args, name), 1, 100_000)
    rounds = [] if args.rounds is None else [f"train.rounds={args.rounds}"]
    config = settings.load(args.algo, preset=args.preset, overrides=[*rounds, *args.set])
    device = "cpu" if config.device.device == "auto" else config.device.device
    config = replace(config, device=replace(config.device, device=device))
    plan = make_plan(config, args.clients, args.studies)
    plan = plan if args.no_probe else with_probe(plan)
    print(json.dumps(as_dict(plan), indent=1) if args.json else "\n".join(lines(plan)))
    return 0


def as_dict(plan: Plan) -> dict[str, Any]:
    """The plan's numbers: bytes, seconds, counts."""
    traffic = [{way: plan.mean_bytes(way, at) for way in ("upload", "download")} for at in range(2)]
    return {
        "algorithm": plan.config.name,
        "config_hash": plan.config.hash(),
        "clients": plan.clients,
        "cohort": plan.cohort,
        "rounds": plan.config.train.rounds,
        "steps": plan.steps,
        "parts": [asdict(part) for part in plan.parts],
        "parameters_sent": sum(part.sent for part in plan.parts),
        "statistics_sent": plan.statistics,
        "bytes_per_client": {"first_round": traffic[0], "later_rounds": traffic[1]},
        "actor_bytes": plan.memory,
        "step_s": plan.probe and plan.probe.step,
        "round_s": plan.round_s,
    }


def lines(plan: Plan) -> Iterator[str]:
    """The tables."""
    config = plan.config
    yield (
        f"{config.name}, preset {config.run.preset}: {plan.clients} hospitals, {plan.cohort} per round,"
        f" {config.train.rounds} rounds of {plan.steps} steps on {config.train.batch_size} studies"
    )
    yield f"\n{'parameters':<34}{'all':>16}{'trained':>14}{'travel':>14}"
    for part in plan.parts:
        yield f"{part.name:<34}{part.all:>16,}{part.trained:>14,}{part.sent:>14,}"
    totals = [sum(getattr(part, column) for part in plan.parts) for column in ("all", "trained", "sent")]
    yield f"{'together':<34}{totals[0]:>16,}{totals[1]:>14,}{totals[2]:>14,}"
    yield f"running statistics that travel besides: {plan.statistics:,}"
    yield from _traffic_lines(plan)
    yield f"\nmemory of an actor in training: about {plan.memory / 1e9:.1f} GB (float32, {_memory(plan)})"
    yield from _time_lines(plan)


def _traffic_lines(plan: Plan) -> Iterator[str]:
    yield f"\n{'MB of a client':<34}{'up':>16}{'down':>14}"
    for title, at in (("first round", 0), ("each later round", 1)):
        yield f"{title:<34}{plan.mean_bytes('upload', at) / 1e6:>16,.2f}{plan.mean_bytes('download', at) / 1e6:>14,.2f}"
    both = plan.mean_bytes("upload", 1) + plan.mean_bytes("download", 1)
    rounds = plan.config.train.rounds
    share = plan.cohort / plan.clients
    yield f"\n{'time of a client on its link':<34}{'a round':>16}{'the run':>14}"
    for speed in LINKS:
        seconds = both * 8 / (speed * 1e6)
        yield f"{f'{speed:,} Mbit/s':<34}{duration(seconds):>16}{duration(seconds * rounds * share):>14}"


def _memory(plan: Plan) -> str:
    weights, moving = 4 * plan.weights / 1e9, plan.state / 1e9
    return (
        f"weights {weights:.1f}, training state {moving:.1f}, activations {plan.activations / 1e9:.1f}, libraries 0.3"
    )


def _time_lines(plan: Plan) -> Iterator[str]:
    if plan.probe is None or plan.round_s is None:
        yield f"time: not measured ({plan.why_not or 'no probe'})"
        return
    actors = max(1, plan.config.pool.actors)
    step, besides = plan.probe.step, plan.probe.besides
    yield f"time of a step, by a probe here: {step:.2f} s; a client's round besides: {besides:.2f} s"
    yield f"time of a round with {actors} actors, each with a core of its own: {duration(plan.round_s)}"
    whole = plan.round_s * plan.config.train.rounds
    yield f"time of the run's training: {duration(whole)}; generating and scoring reports come on top"
