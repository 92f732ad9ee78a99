"""METEOR's paraphrase table, cut to the words of the texts that are scored. METEOR takes 10 s to read the full table
(5.3 million pairs) and half a second to start with a cut one.

A paraphrase can match only if all its words occur in the texts, so a table without the others gives the same scores.
Cut tables are cached under `$FEDMRG_CACHE` (else in the user's cache folder) with the words that they cover. Texts with
a new word cut a new table, for the old and the new words together.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

FULL = Path("data") / "paraphrase-en.gz"
_RUN = re.compile(r"[^\W_]+")


def vocabulary(texts: Iterable[str]) -> frozenset[str]:
    """The runs of letters and digits in lower-cased texts: METEOR's own words are made of them and punctuation."""
    return frozenset(run for text in set(texts) for run in _RUN.findall(text.lower()))


def cache_folder() -> Path:
    """Where cut tables are cached: `$FEDMRG_CACHE`, else `$XDG_CACHE_HOME/fedmrg`, else `~/.cache/fedmrg`."""
    own = os.environ.get("FEDMRG_CACHE")
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fedmrg"
    return base / "meteor"


@contextmanager
def table(folder: Path, texts: Iterable[str]) -> Iterator[list[str]]:
    """METEOR's arguments for a table that gives the same scores for `texts` as the full one in `folder`."""
    words = vocabulary(texts)
    found = cached(folder, words)
    if found is not None:
        yield ["-a", str(found)]
        return
    source, cache = folder / FULL, _cache(folder)
    with ExitStack() as stack:
        try:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fedmrg-meteor-")))
            cut(source, words.union(*(_lines(entry / "words.txt") for entry in _entries(cache))), scratch)
            _store(scratch, cache)
            option = ["-a", str(scratch / "table.gz")]
        except OSError as error:
            logger.warning(
                "METEOR's paraphrase table cannot be cut in the folder for temporary files, %s (%s): METEOR reads the "
                "full one, which takes 10 s more", os.environ.get("TMPDIR") or "/tmp", error.strerror or error,
            )  # fmt: skip
            option = []
        yield option


def cached(folder: Path, words: frozenset[str]) -> Path | None:
    """A cached cut of the full table in `folder` that covers `words`, or None. Words of no paraphrase need no table."""
    for entry in _entries(_cache(folder)):
        missing = words - _lines(entry / "words.txt")
        if not missing or missing.isdisjoint(_lines(entry / "all.txt")):
            return entry / "table.gz"
    return None


def _cache(folder: Path) -> Path:
    """The cache folder of the full table in `folder`; another table has another one."""
    return cache_folder() / hashlib.sha256(f"{(folder / FULL).stat().st_size}".encode()).hexdigest()[:12]


def cut(source: Path, words: frozenset[str], target: Path) -> None:
    """Write into `target` the pairs of `source` whose words are all in `words` (table.gz), the words of the cut
    (words.txt) and all words of `source` (all.txt): a word that is not in all.txt never requires a new cut."""
    seen: set[bytes] = set()
    good: set[bytes] = set()
    runs: dict[bytes, frozenset[str]] = {}  # a word of the table -> its runs of letters and digits
    fitting: set[bytes] = set()
    with gzip.open(target / "table.gz", "wb", compresslevel=1) as out:
        for lines in _blocks(source):
            firsts, seconds = lines[1::3], lines[2::3]
            phrases = {*firsts, *seconds} - seen
            seen |= phrases
            for word in set(b" ".join(phrases).split()).difference(runs):
                runs[word] = vocabulary([word.decode("utf-8", "replace")])
                if runs[word] <= words:
                    fitting.add(word)
            good.update(phrase for phrase in phrases if fitting.issuperset(phrase.split()))
            for row in [row for row, first in enumerate(firsts) if first in good]:
                if seconds[row] in good:
                    out.write(b"%b\n%b\n%b\n" % tuple(lines[3 * row : 3 * row + 3]))
    every = frozenset[str]().union(*runs.values())
    (target / "words.txt").write_text("\n".join(sorted(words & every)), encoding="utf-8")
    (target / "all.txt").write_text("\n".join(sorted(every)), encoding="utf-8")


def _blocks(source: Path, size: int = 1 << 24) -> Iterator[list[bytes]]:
    """The lines of a gzip file in lists of whole triples, a part at a time: memory stays small."""
    rest: list[bytes] = []
    with gzip.open(source) as stream:
        tail = b""
        while chunk := stream.read(size):
            *lines, tail = (tail + chunk).split(b"\n")
            rest += lines
            whole = len(rest) - len(rest) % 3
            yield rest[:whole]
            rest = rest[whole:]
        if tail:
            yield [*rest, tail]


def _entries(cache: Path) -> list[Path]:
    found = sorted(path.parent for path in cache.glob("*/all.txt")) if cache.is_dir() else []
    return [entry for entry in found if not entry.name.startswith(".")]  # a dot: still being copied


def _lines(file: Path) -> frozenset[str]:
    try:
        return frozenset(file.read_text(encoding="utf-8").split("\n"))
    except OSError:  # another process has just replaced this table by a larger one
        return frozenset()


def _store(scratch: Path, cache: Path) -> None:
    """Copy a new table into the cache and delete the smaller ones. An unwritable cache stays as it is."""
    target = cache / hashlib.sha256((scratch / "words.txt").read_bytes()).hexdigest()[:16]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=".new-", dir=cache))
    except OSError:
        return
    try:
        shutil.copytree(scratch, staged, dirs_exist_ok=True)
        old = _entries(cache)
        os.replace(staged, target)
    except OSError:  # the disk is full, or another process has just stored the same table
        shutil.rmtree(staged, ignore_errors=True)
        return
    for entry in old:
        if entry != target:
            shutil.rmtree(entry, ignore_errors=True)
