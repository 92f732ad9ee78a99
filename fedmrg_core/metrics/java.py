"""The two Java programs among the metrics, METEOR 1.5 and the COCO PTB tokenizer, each run as one bounded process.

pycocoevalcap brings both jars. Its own wrappers hang when a report contains a newline and shift captions on U+2028, so
the processes are driven here: all input at once, a time limit, and a count of the answers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedmrg_core.metrics import paraphrases
from fedmrg_core.metrics.text import plain

Floats = npt.NDArray[np.float64]

INSTALL_JAVA = "needs Java: install a runtime (Debian or Ubuntu: `apt install default-jre-headless`; conda: `openjdk`)"
METEOR_STATS = 23
"""Values in a METEOR statistics line: 4 lengths, 4 match counts for each of 4 modules, chunks, 2 matched lengths."""

_SEPARATOR = "x"
"""A line after every text. The tokenizer looks beyond the end of a line: without it, the next text would decide whether
a final "no." keeps its full stop."""
_QUICK_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")  # half the time on one core for runs of seconds
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_MODULE_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])


class JavaError(Exception):
    """Java is absent, or its process failed or exceeded its time limit; the message says which and what to do."""


def _package() -> Path:
    spec = find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations:
        raise JavaError("needs pycocoevalcap: `pip install pycocoevalcap`")
    return Path(next(iter(spec.submodule_search_locations)))


def _java() -> str:
    found = shutil.which("java")
    if found is None:
        raise JavaError(INSTALL_JAVA)
    return found


def _run(arguments: Sequence[str], lines: Sequence[str], cwd: Path, limit: float) -> list[str]:
    command = [_java(), *_QUICK_START, "-Xmx2G", "-Dfile.encoding=UTF-8", *arguments]
    text = "".join(line + "\n" for line in lines)
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, cwd=cwd, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise JavaError(f"the Java process took longer than {limit:.0f} s for {len(lines)} texts") from error
    except OSError as error:
        raise JavaError(f"java could not be started ({error}); {INSTALL_JAVA}") from error
    answers = done.stdout.decode(errors="replace").split("\n")[:-1]
    if done.returncode != 0 or len(answers) != len(lines):
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise JavaError(f"java gave {len(answers)} answers to {len(lines)} texts (exit {done.returncode}): {reason}")
    return answers


def ptb_tokenise(texts: Sequence[str]) -> list[str]:
    """Texts tokenised as COCO captions are (lower case, punctuation dropped), in order; one Java process.

    Raises:
        JavaError: no Java, a crash, or the time limit (30 s + 10 ms per text).
    """
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS, STANFORD_CORENLP_3_4_1_JAR

    folder = _package() / "tokenizer"
    arguments = ["-cp", STANFORD_CORENLP_3_4_1_JAR, "edu.stanford.nlp.process.PTBTokenizer"]
    lines = [line for text in texts for line in (plain(text), _SEPARATOR)]
    answers = _run([*arguments, "-preserveLines", "-lowerCase"], lines, folder, 30 + 0.01 * len(texts))[::2]
    dropped = set(PUNCTUATIONS)
    return [" ".join(word for word in line.split() if word not in dropped) for line in answers]


def is_ready(texts: Iterable[str]) -> bool:
    """Whether METEOR's paraphrase table is cut already for the words of all texts.

    Raises:
        JavaError: no Java, so no table is needed.
    """
    _java()
    return paraphrases.cached(_package() / "meteor", paraphrases.vocabulary(map(plain, texts))) is not None


def make_ready(texts: Iterable[str]) -> None:
    """Cut METEOR's paraphrase table for the words of all texts, so that scoring any of them later finds it cached."""
    with paraphrases.table(_package() / "meteor", map(plain, texts)):
        pass


@contextmanager
def made_ready(texts: Iterable[str]) -> Iterator[None]:
    """`make_ready` while the block runs, in a process of low priority: scoring then starts 10 s sooner.

    The end of the block waits for the process; an error in the block ends it. Without Java nothing is done; if the
    process fails, scoring cuts the table itself.
    """
    process = None
    with suppress(JavaError, OSError), tempfile.TemporaryFile() as file:
        items = list(dict.fromkeys(texts))
        if not is_ready(items):
            file.write(json.dumps(items).encode())
            file.seek(0)
            process = subprocess.Popen([sys.executable, "-m", __name__], stdin=file, stderr=subprocess.DEVNULL)
    try:
        yield
    except BaseException:
        if process is not None:
            process.terminate()
        raise
    finally:
        if process is not None:
            process.wait()


class _TableReplaced(Exception):
    """Another process replaced the paraphrase table by a larger one before METEOR opened it."""


def _meteor(pairs: Sequence[tuple[str, str]], folder: Path) -> list[str]:
    """METEOR's answer to each pair of plain texts."""
    lines = [f"SCORE ||| {reference} ||| {hypothesis}" for reference, hypothesis in pairs]
    with paraphrases.table(folder, (text for pair in pairs for text in pair)) as option:
        arguments = ["-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm", *option]
        try:
            return _run(arguments, lines, folder, 60 + 0.05 * len(lines))
        except JavaError:
            if option and not Path(option[-1]).exists():
                raise _TableReplaced from None
            raise


def meteor_stats(pairs: Sequence[tuple[str, str]]) -> Floats:
    """METEOR 1.5's sufficient statistics of (reference, hypothesis) pairs, [n, 23]; `meteor_score` combines sums.

    Raises:
        JavaError: no Java, a crash, or the time limit (60 s + 50 ms per pair).
    """
    _java()  # fail before the table is cut
    clean = [(plain(reference), plain(hypothesis)) for reference, hypothesis in pairs]
    folder = _package() / "meteor"
    try:
        answers = _meteor(clean, folder)
    except _TableReplaced:
        answers = _meteor(clean, folder)
    rows = [line.split() for line in answers]
    if any(len(row) != METEOR_STATS for row in rows):
        raise JavaError(f"METEOR answered a line without its {METEOR_STATS} statistics")
    return _without_whole_chunks(np.array(rows, dtype=np.float64).reshape(len(rows), METEOR_STATS))


def _without_whole_chunks(rows: Floats) -> Floats:
    """Set the chunks of a fully matched pair in one chunk to 0, as METEOR does, alone and in a corpus."""
    whole = (rows[:, 21] == rows[:, 0]) & (rows[:, 22] == rows[:, 1]) & (rows[:, 20] == 1)
    rows[whole, 20] = 0.0
    return rows


def meteor_score(sums: Floats) -> Floats:
    """METEOR of summed statistics [.., 23] -> [..]. One study's row gives its score, the sum of rows the corpus score.

    The formula and its English "rank" parameters are METEOR 1.5's (Denkowski and Lavie, WMT 2014), in numpy so that a
    bootstrap can re-score 1,000 resampled corpora. The tests compare it with the jar's own corpus score.
    """
    modules = sums[..., 4:20].reshape(*sums.shape[:-1], 4, 4)
    content, function = modules[..., 0:2], modules[..., 2:4]
    matched = np.einsum("m,...mk->...k", _MODULE_WEIGHTS, _DELTA * content + (1 - _DELTA) * function)
    lengths, functions = sums[..., 0:2], sums[..., 2:4]
    weighted = _DELTA * (lengths - functions) + (1 - _DELTA) * functions
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = np.moveaxis(matched / weighted, -1, 0)
        mean = 1.0 / ((1 - _ALPHA) / precision + _ALPHA / recall)
        fragments = sums[..., 20] / ((sums[..., 21] + sums[..., 22]) / 2)
        penalty = _GAMMA * fragments**_BETA
        return np.asarray(np.nan_to_num(mean * (1 - penalty), nan=0.0, posinf=0.0), dtype=np.float64)


if __name__ == "__main__":
    os.nice(10)
    make_ready(json.load(sys.stdin))
