"""Hospitals' names as keys: for metric names, files and result paths. Distinct names get distinct keys.

Names that differ only in case and white space are one hospital. A name of plain letters, digits, ".", "_", "-" and
blanks keeps its look ("Nord 1" -> "nord-1"); any other gets six hexadecimal digits of its hash ("Klinik Ä" ->
"klinik-a-..").
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from fedmrg_core.errors import DataError, one_line

LONGEST = 60
"""Letters of a key before its hash."""

_PLAIN = re.compile(r"[a-z0-9_][a-z0-9._ -]*")
_RESERVED = re.compile(r"merged|con|prn|aux|nul|(com|lpt)\d")
"""The name of merged hospitals, and names that are no file names on Windows."""


def hospital_key(name: str) -> str:
    """The key of a hospital's name: 1 to 67 of a-z, 0-9, ".", "_" and "-". "" for a blank name. Idempotent.

    >>> hospital_key(" Nord  1 "), hospital_key("Klinik Ä"), hospital_key("Klinik Ö")
    ('nord-1', 'klinik-a-392914', 'klinik-o-712a93')
    """
    plain = _normal(name)
    if not plain:
        return ""
    folded = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9._]+", "-", folded).strip("-.")[:LONGEST].rstrip("-.")
    exact = _PLAIN.fullmatch(plain) and not _RESERVED.fullmatch(plain) and len(plain) <= LONGEST + 7
    if exact and not plain.endswith((".", "-")):
        return re.sub(r"[ -]+", "-", plain)
    digest = hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{slug or 'hospital'}-{digest}"


class HospitalKeys:
    """Keys of the hospitals of one data set. Raises DataError where two different names would share one."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """The name's key."""
        key, plain = hospital_key(name), _normal(name)
        known = self._names.setdefault(key, plain)
        if known != plain:
            raise DataError(
                f"hospitals '{one_line(known)}' and '{one_line(plain)}' would both be called '{key}'; "
                "write both alike if they are one, else rename one of them"
            )
        return key


def _normal(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
