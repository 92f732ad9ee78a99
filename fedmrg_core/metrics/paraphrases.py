"""METEOR's paraphrase table, cut to the words at hand: reading the whole of it (5.3 million pairs) is 10 s of a start
that otherwise takes half a second.

A paraphrase can only match where all its words stand in the texts, so a table without the others gives the same score
for these texts. Cut tables are kept under `$FEDMRG_CACHE` (else the user's cache folder) with the words that they
serve; texts with a new word cut a new table for old and new words together.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = Path("data") / "paraphrase-en.gz"
_RUN = re.compile(r"[^\W_]+")


def vocabulary(texts: Iterable[str]) -> frozenset[str]:
    """The runs of letters and digits in lower-cased texts: METEOR's own words are made of them and punctuation."""
    return frozenset(run for text in set(texts) for run in _RUN.findall(text.lower()))


def cache_folder() -> Path:
    """Where cut tables are kept: `$FEDMRG_CACHE`, else `$XDG_CACHE_HOME/fedmrg`, else `~/.cache/fedmrg`."""
    own = os.environ.get("FEDMRG_CACHE")
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fedmrg"
    return base / "meteor"


@contextmanager
def table(folder: Path, texts: Iterable[str]) -> Iterator[list[str]]:
    """METEOR arguments that name a table as good as the full one in `folder` for `texts`."""
    words = vocabulary(texts)
    found = kept(folder, words)
    if found is not None:
        yield ["-a", str(found)]
        return
    source, cache = folder / FULL, _cache(folder)
    with tempfile.TemporaryDirectory(prefix="fedmrg-meteor-") as scratch:
        cut(source, words.union(*(_lines(entry / "words.txt") for entry in _entries(cache))), Path(scratch))
        _keep(Path(scratch), cache)
        yield ["-a", str(Path(scratch) / "table.gz")]


def kept(folder: Path, words: frozenset[str]) -> Path | None:
    """A table of the cache that is as good as the full one in `folder` for texts of these words, if there is one."""
    return find(_cache(folder), words)


def _cache(folder: Path) -> Path:
    """Where the cut tables of the full one in `folder` are."""
    return cache_folder() / hashlib.sha256(f"{(folder / FULL).stat().st_size}".encode()).hexdigest()[:12]


def cut(source: Path, words: frozenset[str], target: Path) -> None:
    """Write into `target` the pairs of `source` whose words are all in `words` (table.gz), those of `words` that the
    table knows (words.txt) and all that it knows (all.txt): words beyond that never ask for a new table."""
    seen: set[bytes] = set()
    good: set[bytes] = set()
    known: dict[bytes, frozenset[str]] = {}  # a table's word -> its runs of letters and digits
    fitting: set[bytes] = set()
    with gzip.open(target / "table.gz", "wb", compresslevel=1) as out:
        for lines in _blocks(source):
            firsts, seconds = lines[1::3], lines[2::3]
            phrases = {*firsts, *seconds} - seen
            seen |= phrases
            for word in set(b" ".join(phrases).split()).difference(known):
                known[word] = vocabulary([word.decode("utf-8", "replace")])
                if known[word] <= words:
                    fitting.add(word)
            good.update(phrase for phrase in phrases if fitting.issuperset(phrase.split()))
            for place in [place for place, first in enumerate(firsts) if first in good]:
                if seconds[place] in good:
                    out.write(b"%b\n%b\n%b\n" % tuple(lines[3 * place : 3 * place + 3]))
    every = frozenset[str]().union(*known.values())
    (target / "words.txt").write_text("\n".join(sorted(words & every)), encoding="utf-8")
    (target / "all.txt").write_text("\n".join(sorted(every)), encoding="utf-8")


def _blocks(source: Path, size: int = 1 << 24) -> Iterator[list[bytes]]:
    """The lines of a gzip file in lists of whole triples, so that memory stays small."""
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


def find(cache: Path, words: frozenset[str]) -> Path | None:
    """A kept table that serves all of `words`; words that no paraphrase has need no table."""
    for entry in _entries(cache):
        missing = words - _lines(entry / "words.txt")
        if not missing or missing.isdisjoint(_lines(entry / "all.txt")):
            return entry / "table.gz"
    return None


def _entries(cache: Path) -> list[Path]:
    found = sorted(path.parent for path in cache.glob("*/all.txt")) if cache.is_dir() else []
    return [entry for entry in found if not entry.name.startswith(".")]  # those are still being copied


def _lines(file: Path) -> frozenset[str]:
    try:
        return frozenset(file.read_text(encoding="utf-8").split("\n"))
    except OSError:  # another process has just replaced this table by a wider one
        return frozenset()


def _keep(scratch: Path, cache: Path) -> None:
    """Move a copy of a new table into the cache and drop the narrower ones; an unwritable cache is no loss."""
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
    except OSError:  # no room, or another process has just put the same table there
        shutil.rmtree(staged, ignore_errors=True)
        return
    for entry in old:
        if entry != target:
            shutil.rmtree(entry, ignore_errors=True)
