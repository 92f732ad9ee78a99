"""Makes the project's `.venv` from pyproject.toml with the versions of constraints.txt; `make` runs it when needed.

    python3 benchmark/bootstrap.py .venv

It uses the standard library only, because it runs before anything is installed. uv installs the packages, from the
sources of pip's configuration; if it is neither on PATH nor importable, pip puts it into the environment first. Where
uv cannot be had or fails, pip installs the packages. Without an NVIDIA GPU it first tries the CPU build of PyTorch
(200 MB instead of several GB) from TORCH_CPU_INDEX. If a short probe cannot reach that index, the default package index
is used.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH_CPU_INDEX = os.environ.get("TORCH_CPU_INDEX", "https://download.pytorch.org/whl/cpu")
PROBE_SECONDS = 5


def say(text: str) -> None:
    print(f"set-up: {text}", flush=True)


def ensure_venv(venv: Path) -> Path:
    """The interpreter of `venv`, which is created, or created again if its Python no longer exists."""
    python = venv / "bin" / "python"
    if not works(python):
        say(f"{venv} with Python {platform.python_version()}")
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], capture_output=True, text=True)
        if made.returncode:
            hint = "on Debian or Ubuntu: apt install python3-venv"
            reason = (made.stderr or made.stdout).strip().splitlines() or ["no reason given"]
            sys.exit(f"set-up: cannot make {venv} ({hint}): {reason[0]}")
    return python


def works(python: Path) -> bool:
    """Whether the interpreter starts and has pip."""
    try:
        return subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True).returncode == 0
    except OSError:
        return False


def install(python: Path, *args: str) -> int:
    """Install with the pinned versions, byte-compiled: otherwise each process would need 10 s to import them.

    uv does it in a fraction of pip's time; pip does it where there is no uv, or where uv fails.
    """
    uv = uv_command(python)
    if uv and uv_install(uv, python, args) == 0:
        return 0
    if uv:
        say("uv could not install them; trying pip")
    return pip(python, *args)


def uv_command(python: Path) -> list[str]:
    """How to call uv: from PATH, as a module of this Python, or in the environment of `python`, where pip puts it;
    empty if it cannot be had."""
    found = shutil.which("uv")
    if found:
        return [found]
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    own = [str(python), "-m", "uv"]
    if subprocess.run([*own, "--version"], capture_output=True).returncode == 0 or pip(python, "uv") == 0:
        return own
    return []


def uv_install(uv: list[str], python: Path, args: Sequence[str]) -> int:
    """`uv pip install` into the environment of `python`, with the package sources of pip's configuration."""
    base = [*uv, "pip", "install", "--quiet", "--python", str(python), "--compile-bytecode"]
    base += ["--index-strategy", "unsafe-best-match"]  # as pip chooses where there are several indexes
    config = pip_config(python)
    environment = {"SSL_CERT_FILE": config["cert"], **os.environ} if "cert" in config else None
    command = [*base, *uv_sources(config, args), "-c", str(ROOT / "constraints.txt"), *args]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


def uv_sources(config: Mapping[str, str], args: Sequence[str]) -> list[str]:
    """pip's settings of where packages come from, as options of uv; an index in `args` replaces pip's."""
    options = []
    for name in ("index-url", "extra-index-url", "find-links", "constraint"):
        if f"--{name}" not in args:
            options += [word for value in config.get(name, "").split() for word in (f"--{name}", value)]
    return options + (["--no-index"] if config.get("no-index", "") in ("1", "true", "yes", "on") else [])


def pip_config(python: Path) -> dict[str, str]:
    """pip's settings by name. The environment comes before [install], and that before [global], as for pip itself."""
    shown = subprocess.run([str(python), "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    found: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for name, value in re.findall(rf"(?m)^{section}\.(\S+?)='(.*)'$", shown):
            found[name] = value.replace("\\n", " ")
    return found


def pip(python: Path, *args: str) -> int:
    """`pip install` with the pinned versions."""
    base = [str(python), "-m", "pip", "install", "-qq", "--compile", "--disable-pip-version-check"]
    base += ["--retries", "1", "--timeout", "20"] if "--index-url" in args else []  # an index that may be unreachable
    return subprocess.run([*base, "-c", str(ROOT / "constraints.txt"), *args], cwd=ROOT).returncode


def wants_cpu_torch() -> bool:
    """True on Linux x86-64 without an NVIDIA driver: elsewhere the default index has the right build."""
    return sys.platform == "linux" and platform.machine() in ("x86_64", "AMD64") and not shutil.which("nvidia-smi")


def has_torch(python: Path) -> bool:
    """Whether the pinned torch is installed already."""
    code = "import importlib.metadata as m; print(m.version('torch').split('+')[0])"
    found = subprocess.run([str(python), "-c", code], capture_output=True, text=True)
    return found.returncode == 0 and found.stdout.strip() == pinned("torch")


def pinned(name: str) -> str:
    """The version of a package in constraints.txt."""
    found = re.search(rf"(?m)^{name}==(\S+)", (ROOT / "constraints.txt").read_text())
    if found is None:
        sys.exit(f"set-up: constraints.txt does not pin {name}")
    return found.group(1)


def reachable(index: str) -> bool:
    """Whether the index answers for torch within PROBE_SECONDS: closed networks often drop packets silently."""
    try:
        with urllib.request.urlopen(f"{index.rstrip('/')}/torch/", timeout=PROBE_SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def install_cpu_torch(python: Path) -> None:
    """Install the CPU build without its dependencies, which come pinned from the package index. It may fail."""
    if not wants_cpu_torch() or has_torch(python) or not reachable(TORCH_CPU_INDEX):
        return
    say(f"CPU build of torch {pinned('torch')} from {TORCH_CPU_INDEX}")
    if install(python, "--no-deps", "--index-url", TORCH_CPU_INDEX, f"torch=={pinned('torch')}"):
        say("that failed; the default package index is used")


def main() -> int:
    started = time.monotonic()
    venv = Path(sys.argv[1] if len(sys.argv) > 1 else ".venv")
    python = ensure_venv(venv)
    install_cpu_torch(python)
    say("packages of pyproject.toml as pinned in constraints.txt (some minutes, once)")
    if install(python, "-e", ".[dev]"):
        print(
            "set-up: pip could not install the packages (its reason is above); fix it and run make again",
            file=sys.stderr,
        )
        return 1
    (venv / ".stamp").write_text(f"{platform.python_version()}\n")
    say(f"done in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
