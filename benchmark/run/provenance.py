"""Where a result comes from: the commit, the versions, the machine."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("fedmrg", "torch", "transformers", "peft", "ray", "datasets", "numpy", "pycocoevalcap", "rouge-score")

DECISIVE = ("benchmark", "fedmrg_core", "splits", "pyproject.toml", "constraints.txt")
"""What decides a run's numbers. New files count; results and docs do not, or a suite would make its own tree dirty."""


def collect(root: Path, device: str, precision: str = "float32") -> dict[str, Any]:
    """git_sha, dirty, versions, device; `git_sha` is "" outside a checkout (and the result then counts as dirty)."""
    sha = _git(root, "rev-parse", "HEAD")
    return {
        "git_sha": sha,
        "dirty": not sha or bool(_git(root, "status", "--porcelain", "--", *DECISIVE)),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "device": device_name(device, precision),
        "machine": machine(),
    }


def machine() -> str:
    """System and processor, as far as bits depend on them."""
    return f"{platform.system()} {platform.machine()}{_processor()}"


def device_name(device: str, precision: str) -> str:
    """The processor's or GPU's model, and what can be promised of its bits."""
    if device == "cuda":
        import torch

        return f"{torch.cuda.get_device_name()}, {precision} (bits not promised)"
    return f"cpu {_cpu_model()}, {precision}, 1 thread per process"


def _cpu_model() -> str:
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def _processor() -> str:
    """What a cloud's "model name" leaves out and the bits depend on: which model it is and what it can do."""
    facts = _cpuinfo()
    if "flags" not in facts:
        return ""
    which = " ".join(f"{name} {facts.get(name, '?')}" for name in ("cpu family", "model", "stepping"))
    return f", {which}, flags {hashlib.sha256(facts['flags'].encode()).hexdigest()[:8]}"


def _cpuinfo() -> dict[str, str]:
    """Of the first processor; empty where the system has no such file."""
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


def _git(root: Path, *words: str) -> str:
    try:
        out = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return out.stdout.strip()
