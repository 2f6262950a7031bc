"""Builds the report's three files from captured data, the ledger and models."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.common import s3
from scripts.common.errors import UserError
from scripts.common.paths import SHIPPED_MODEL
from scripts.common.progress import Progress
from scripts.deployment.outputs import Deployment
from scripts.report import data_capture, html, records
from scripts.workflow.ledger import Ledger, Row
from training_scripts import artifact


class NothingToShow(UserError):
    """Nothing that was read holds an answer of the model; the message says what was there."""


class LabelsWouldBeLost(UserError):
    """The CSV that the report would replace has labels that the report does not have."""


@dataclass(frozen=True)
class Made:
    """The report's figures, and the files it was written to."""

    figures: dict[str, Any]
    written: list[Path]


def make(  # noqa: PLR0913, PLR0917 - one for each source
    places: Sequence[str],
    deployment: Deployment | None,
    models: Sequence[str],
    truths: records.Truths,
    to: Path,
    progress: Progress,
    *,
    with_ledger: bool,
) -> Made:
    """Read everything, and write `to` (HTML) with a PNG and a CSV of the same name beside it.

    Args:
        places: of captured data; the deployment's own if there are none.
        deployment: needed for the ledger, for S3, and where no place is named.

    Raises:
        NothingToShow: no answer of a model was found.
        LabelsWouldBeLost, LabelsError: the CSV that is there would lose labels, or is not a
            report's.
        NoSuchObject, ArtifactError, OSError: a source cannot be used.
    """
    if deployment and not places:
        places = [f"s3://{deployment.bucket}/capture/"]
    with contextlib.ExitStack() as closing:
        progress("Reading the ledger", None)
        rows = list(Ledger(deployment).all()) if deployment and with_ledger else []
        descriptions = _descriptions(models, rows, deployment, closing)
        read = _captured(places, deployment, bool(rows), progress)
        joined = records.join(read, rows, descriptions, truths)
    if not joined.records:
        raise NothingToShow(
            f"No answer of a model in {', '.join(places)}{' and the ledger' if with_ledger else ''} "
            f"({len(joined.broken)} broken lines): name a folder with captured .jsonl files, or classify pictures first."
        )
    progress("Writing the report", None)
    return Made(records.figures(joined), _write(joined, deployment, to))


def _captured(
    places: Sequence[str], deployment: Deployment | None, has_rows: bool, progress: Progress
) -> Iterator[data_capture.Inference | data_capture.Broken]:
    count = 0
    for place in places:
        try:
            for found in data_capture.read(place, lambda: deployment.client("s3") if deployment else None):
                count += 1
                if count % 1000 == 0:
                    progress(f"Reading captured data: {count:,} lines", None)
                yield found
        except s3.NoSuchObject:
            if not has_rows:  # capture may be off; then only the ledger has answers
                raise


def _descriptions(
    models: Sequence[str],
    rows: Sequence[Row],
    deployment: Deployment | None,
    closing: contextlib.ExitStack,
) -> list[dict[str, Any]]:
    """model.json of the named models, else the ledger's (latest first), else the shipped one's."""

    def client() -> Any:
        return deployment.client("s3") if deployment else None

    def read(place: str) -> dict[str, Any]:
        return artifact.read_archive(closing.enter_context(s3.local(place, client)))[0]

    if models or deployment is None:
        return [read(place) for place in models or [str(SHIPPED_MODEL)]]
    latest_first = sorted(
        (row for row in rows if row.get("model")), key=lambda row: row["time"], reverse=True
    )
    found = []
    for name in dict.fromkeys(row["model"] for row in latest_first):
        with contextlib.suppress(s3.NoSuchObject, artifact.ArtifactError):  # removed since
            found.append(read(f"s3://{deployment.bucket}/models/{name}/model.tar.gz"))
    return found or [read(str(SHIPPED_MODEL))]


def _write(joined: records.Report, deployment: Deployment | None, to: Path) -> list[Path]:
    from scripts.report import chart  # noqa: PLC0415 - Matplotlib takes long to import, and few need it

    title = f"Scones report: {deployment.prefix}" if deployment else "Scones report"
    made = f"Made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC from {len(joined.records):,} records."
    picture, table = to.with_suffix(".png"), to.with_suffix(".csv")
    if table.exists():
        _keep_labels(joined, table)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(html.render(joined, title, made), encoding="utf-8")
    chart.draw(joined, title, picture)
    records.write_csv(joined, table)
    return [to, picture, table]


def _keep_labels(joined: records.Report, table: Path) -> None:
    there = records.read_truths(table)
    labelled = [record for record in joined.records if record.truth]
    events = {record.event_id for record in labelled}
    pictures = {(record.picture, version) for record in labelled for version in (record.version, "")}
    if lost := len(there.events.keys() - events) + len(there.pictures.keys() - pictures):
        raise LabelsWouldBeLost(
            f"{table} has {lost} labels that this report would not have: hand them in (--labels {table}), or write "
            "elsewhere (--to OTHER.html)."
        )
