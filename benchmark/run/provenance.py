"""Where a result comes from: the commit, the versions, the machine."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("fedmrg", "torch", "transformers", "peft", "ray", "datasets", "numpy", "pycocoevalcap", "rouge-score")

DECISIVE = ("benchmark", "fedmrg_core", "splits", "bases", "pyproject.toml", "constraints.txt")
"""What decides a run's numbers. New files count; results and docs do not: a suite would make its own tree dirty."""


def collect(root: Path, device: str, precision: str = "float32") -> dict[str, Any]:
    """git_sha, dirty, versions, device, machine. Outside a checkout `git_sha` is "" and the result counts as dirty."""
    sha, dirty = _commit(root)
    return {
        "git_sha": sha,
        "dirty": dirty,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "device": device_name(device, precision),
        "machine": machine(),
    }


def machine() -> str:
    """System and processor, in as much detail as bits depend on."""
    return f"{platform.system()} {platform.machine()}{_processor()}"


def _commit(root: Path) -> tuple[str, bool]:
    """The commit of the checkout at `root`, and whether files differ from it; ("", True) where git cannot tell."""
    top, sha = _git(root, "rev-parse", "--show-toplevel"), _git(root, "rev-parse", "HEAD")
    if not top or not sha or Path(top).resolve() != root.resolve():  # an installed copy may be inside another checkout
        return "", True
    changed = _git(root, "status", "--porcelain", "--", *DECISIVE)
    return sha, changed is None or bool(changed)


def device_name(device: str, precision: str) -> str:
    """The model of the processor or GPU, and what is promised about its bits."""
    if device == "cuda":
        import torch

        return f"{torch.cuda.get_device_name()}, {precision} (bits not promised)"
    return f"cpu {_cpu_model()}, {precision}, 1 thread per process"


def _cpu_model() -> str:
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def _processor() -> str:
    """What the "model name" of a cloud's processor leaves out and bits depend on: the exact model and its features."""
    facts = _cpuinfo()
    if "flags" not in facts:
        return ""
    which = " ".join(f"{name} {facts.get(name, '?')}" for name in ("cpu family", "model", "stepping"))
    return f", {which}, flags {hashlib.sha256(facts['flags'].encode()).hexdigest()[:8]}"


def _cpuinfo() -> dict[str, str]:
    """Facts of the first processor; empty if the system has no such file."""
    try:
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _git(root: Path, *words: str) -> str | None:
    """What a git command prints; None if it fails."""
    try:
        out = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return out.stdout.strip()
