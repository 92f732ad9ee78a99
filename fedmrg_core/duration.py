"""Seconds in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A time in the unit that fits it, as `templates/link.js` says it too.

    >>> duration(0.79), duration(42), duration(90), duration(7200)
    ('0.79 s', '42 s', '1.5 min', '2.0 h')
    """
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
