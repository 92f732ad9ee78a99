"""Run ids: readable, unique, and safe as a folder's name."""

from __future__ import annotations

import re

from benchmark.run.options import Options, new_run_id
from tests.toy import toy_config


def test_a_run_id_says_what_ran_and_is_unique() -> None:
    config = toy_config("fedlora", seed=7)
    ids = {new_run_id(config) for _ in range(20)}
    assert len(ids) == 20
    assert all(re.fullmatch(r"\d{8}-\d{6}-fedlora-phantom-ci-s7-[0-9a-f]{4,}", one) for one in ids)


def test_a_run_is_new_tracked_and_talks_unless_told_otherwise() -> None:
    options = Options()
    assert (options.resume, options.track, options.quiet) == ("", True, False)
