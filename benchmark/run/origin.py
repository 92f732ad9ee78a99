"""What a run was begun with. A resumed run must have the same data, split and base; other code is allowed and said.

`runs/<run_id>/origin.json` holds three hashes and each code that worked on the run: commit, dirty, versions, machine.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from fedmrg_core.errors import DataError, FedMRGError
from fedmrg_core.files import write_atomic
from fedmrg_core.runfolder import CHECKPOINTS, ORIGIN, RunFolder, read_json

HASHES = {"data_sha256": "data", "split_sha256": "split", "model_sha256": "base"}
CODE = ("git_sha", "dirty", "versions", "machine")


class ResumeRefused(FedMRGError):
    """A run that cannot be continued as it was begun. Its files stay as they are."""


def settle_origin(folder: RunFolder, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Store the origin of a new run, or compare a resumed run with its own. Returns what provenance says in addition:
    after a change of code `dirty` is true and `codes` lists them all.

    Raises ResumeRefused where data, split or base are not those of the run's beginning.
    """
    hashes = {key: provenance[key] for key in HASHES}
    codes = [{key: provenance[key] for key in CODE}]
    path = folder.path / ORIGIN
    if path.exists():
        try:
            origin = read_json(path)
        except DataError as error:
            raise ResumeRefused(f"{error}; begin a new run") from None
        for key, what in HASHES.items():
            if origin.get(key) != hashes[key]:
                was, now = str(origin.get(key))[:12], str(hashes[key])[:12]
                raise ResumeRefused(
                    f"run {folder.path.name} was begun with other {what} (SHA-256 {was}.., now {now}..):"
                    " restore it, or begin a new run"
                )
        codes = origin.get("codes", []) + [code for code in codes if code not in origin.get("codes", [])]
    elif (folder.path / CHECKPOINTS).exists():
        raise ResumeRefused(f"run {folder.path.name} does not say which data it was begun with: begin a new run")
    write_atomic(path, (json.dumps({**hashes, "codes": codes}, indent=1) + "\n").encode())
    if len(codes) == 1:
        return {}
    commits = " -> ".join(str(code["git_sha"])[:7] + ("+" if code["dirty"] else "") for code in codes)
    said = f"the code, its versions or the machine changed since this run began ({commits}): its result counts as dirty"
    print(f"fedmrg: {said}", file=sys.stderr)
    return {"dirty": True, "codes": codes}
