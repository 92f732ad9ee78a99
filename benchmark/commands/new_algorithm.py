"""`fedmrg new-algorithm NAME`: writes an algorithm's file, config and test, which run and pass at once."""

from __future__ import annotations

import argparse
import keyword
import re
from pathlib import Path

from fedmrg_core.errors import FedMRGError, one_line

ALGORITHM = '''\
"""NAME: say here in one sentence what the method does, and cite its paper."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm, Client, register
from fedmrg_core.errors import in_range
from fedmrg_core.models.report_model import Batch


@register("NAME")
@dataclass(frozen=True)
class CLASS(Algorithm):
    """FedAvg with loss + strength/2 |w|^2 over the shared parameters: put the paper's equations here instead.

    strength: 0 is FedAvg, bit by bit; the larger, the smaller the parameters stay.
    """

    strength: float = 0.01

    def __post_init__(self) -> None:
        in_range("algorithm.strength", self.strength, 0)

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        loss = super().local_loss(client, batch)
        if self.strength == 0:
            return loss
        size = torch.stack([w.square().sum() for w in client.shared().values()]).sum()
        client.log("size", size)
        return loss + 0.5 * self.strength * size
'''

CONFIG = '''\
method = "NAME"

[algorithm]
strength = 0.01

[tuning]
kind = "full"
'''

TEST = '''\
"""NAME: strength = 0 is FedAvg to the bit, and one step worked out by hand."""

from __future__ import annotations

import torch

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.registry import get
from tests.stub import POINTS, E, StubRun, means


def test_strength_0_is_fedavg_to_the_bit() -> None:
    plain, ours = StubRun(Algorithm()).server.params, StubRun(get("NAME")(strength=0.0)).server.params
    assert all(plain[name].equal(ours[name]) for name in plain)


def test_one_step_by_hand() -> None:
    """A full batch of mean m, from w, SGD with step a: the gradient is (w - m) + strength w."""
    a, strength, w, m = 0.25, 0.5, torch.tensor([1.0, -1.0]), means()["h01"]
    train = {"rounds": 1, "local_steps": 1, "batch_size": 4, "lr": a}
    run = StubRun(get("NAME")(strength=strength), train, {"h01": POINTS["h01"]}, {E: w.tolist()})
    torch.testing.assert_close(run.server.params[E], w - a * ((w - m) + strength * w))
'''


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg new-algorithm`."""
    parser.add_argument("name", help="its name in configs and on boards, such as fedprox or fedlora-dx")


def main(args: argparse.Namespace) -> int:
    """Write the three files; nothing is written if the name cannot be used."""
    from fedmrg_core.files import write_atomic
    from fedmrg_core.paths import ROOT

    for path, text in new_files(ROOT, args.name).items():
        write_atomic(path, text.encode())
        print(path.relative_to(ROOT).as_posix())
    module = args.name.replace("-", "_")
    print(f"now: pytest tests/algorithms -k {module}; the next steps are in docs/adding-an-algorithm.md")
    return 0


def new_files(root: Path, name: str) -> dict[Path, str]:
    """Path -> text of the three files. Raises FedMRGError for a name that is taken or cannot be a module's."""
    from fedmrg_core.algorithms.registry import algorithms

    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > 40 or keyword.iskeyword(module):
        raise FedMRGError(f"'{one_line(name, 60)}' cannot be an algorithm's name: use small letters, as in fedlora-dx")
    if not (root / "tests" / "stub.py").exists():
        raise FedMRGError(f"{root} is no checkout of this project (no tests/stub.py): clone it to add an algorithm")
    texts = {
        root / "fedmrg_core" / "algorithms" / f"{module}.py": ALGORITHM,
        root / "benchmark" / "configs" / "algos" / f"{name}.toml": CONFIG,
        root / "tests" / "algorithms" / f"test_{module}.py": TEST,
    }
    taken = [path.relative_to(root).as_posix() for path in texts if path.exists()]
    if taken or name in algorithms():
        raise FedMRGError(f"'{name}' exists already ({', '.join(taken) or 'registered'}): choose another name")
    words = {"NAME": name, "CLASS": "".join(part.capitalize() for part in name.split("-")), "MODULE": module}
    return {path: re.sub("NAME|CLASS|MODULE", lambda found: words[found[0]], text) for path, text in texts.items()}
