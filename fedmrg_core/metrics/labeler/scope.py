"""Which state a sentence gives to each condition it names: negation, doubt and clauses (after NegEx, Chapman et al.,
J Biomed Inform 2001; the rule files are its trigger lists)."""

from __future__ import annotations

from collections.abc import Sequence

from fedmrg_core.metrics.labeler.patterns import Match
from fedmrg_core.metrics.labeler.rules import matcher
from fedmrg_core.types import LabelState

Stated = tuple[str, LabelState]
"""(condition, state)"""

_BY_ITSELF = {
    "present": LabelState.POSITIVE,
    "absent": LabelState.NEGATIVE,
    "doubtful": LabelState.UNCERTAIN,
}
_BY_CLAUSE = ("mention", "unsure", "sign")
_NEAR = 3
_REACH_BACK = 12
"""A trigger after a mention counts up to so many words away."""


def stated(words: Sequence[str]) -> list[Stated]:
    """Every (condition, state) that one sentence states, in order."""
    matches = matcher().find(words)
    found: list[Stated] = []
    stops = [match.start for match in matches if "stop" in _kinds(match)]
    for match in matches:
        if any(match.start < stop < match.end and stop not in match.used for stop in stops):
            continue  # a phrase does not cross the end of its clause
        for kind, condition in match.tags:
            if kind in _BY_ITSELF:
                found.append((condition, _BY_ITSELF[kind]))
            elif kind in _BY_CLAUSE and not _aside(match, matches):
                state = state_of(match, matches)
                if kind == "unsure" and state == LabelState.POSITIVE:
                    state = LabelState.UNCERTAIN
                if kind != "sign" or state != LabelState.NEGATIVE:
                    found.append((condition, state))
    return found


def state_of(mention: Match, matches: Sequence[Match]) -> LabelState:
    """The state of a mention: the nearest trigger of its clause, before it or else after it."""
    before = trigger_before(mention, matches)
    if before is not None:
        return before
    return trigger_after(mention, matches)


def _kinds(match: Match) -> set[str]:
    return {kind for kind, _ in match.tags}


def trigger_before(mention: Match, matches: Sequence[Match]) -> LabelState | None:
    """The state that the words before a mention give it; None if its clause has no trigger before it."""
    hinted = began = False
    last = mention.end - 1  # a trigger may be inside a mention's gap: "the heart may be enlarged"
    asserted = any(match.start == mention.end and "assert_after" in _kinds(match) for match in matches)
    for match in reversed(matches):
        if match.start >= last or match is mention:
            continue
        kinds = _kinds(match)
        began = began or _begins(match, kinds, mention, matches) or (asserted and "comma" in kinds)
        if "stop" in kinds or (began and "deny_before" in kinds):
            break
        if "deny_before" in kinds:
            return LabelState.NEGATIVE
        if "doubt_before" in kinds:
            return LabelState.UNCERTAIN
        hinted = hinted or "hint" in kinds
    return LabelState.UNCERTAIN if hinted else None


def _begins(match: Match, kinds: set[str], mention: Match, matches: Sequence[Match]) -> bool:
    """Whether a new finding begins at a match before the mention: "No pneumothorax, small left effusion"."""
    if match.start >= mention.start:
        return False
    if "begin" in kinds:
        return True
    return "begin_side" in kinds and not any(
        other.start > match.start and "either" in _kinds(other) for other in matches
    )


def _aside(mention: Match, matches: Sequence[Match]) -> bool:
    """Whether a mention states nothing: "evaluation for pneumothorax is limited"."""
    return any("aside" in _kinds(match) and 0 <= mention.start - match.end < _NEAR for match in matches)


def trigger_after(mention: Match, matches: Sequence[Match]) -> LabelState:
    """The state that the words after a mention give it; POSITIVE without a trigger."""
    sized = any("size" in _kinds(match) and 0 <= mention.start - match.end < _NEAR for match in matches)
    apart = joined = False
    for match in matches:
        if match.start < mention.end or match is mention:
            continue
        kinds = _kinds(match)
        if ("stop" in kinds and not kinds & {"deny_after", "doubt_after"}) or match.start - mention.end > _REACH_BACK:
            break
        if "deny_list" in kinds or ("deny_after" in kinds and not joined):
            return LabelState.NEGATIVE
        if joined:
            continue
        if "doubt_after" in kinds or ("doubt_near" in kinds and match.start - mention.end < _NEAR):
            return LabelState.UNCERTAIN
        joined = "affirm_after" in kinds or (apart and _states(match))  # the rest speaks of another finding
        apart = apart or "colon" in kinds or (sized and "comma" in kinds)
    return LabelState.POSITIVE


def _states(match: Match) -> bool:
    return any(kind in _BY_CLAUSE for kind in _kinds(match))
