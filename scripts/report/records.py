"""Joins and counts the endpoint's answers, the ledger's decisions, and people's labels."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from functions.common.inference_id import picture_hash
from functions.common.times import ledger_time
from scripts.common.errors import UserError
from scripts.common.s3 import parse_uri
from scripts.report.data_capture import Broken, Inference
from scripts.workflow.ledger import UNUSABLE, Row
from training_scripts.evaluation import calibration

LEDGER_ALONE = "not captured"
COLUMNS = (
    "event_id",
    "time",
    "endpoint",
    "variant",
    "model",
    "picture",
    "version",
    "run",
    "label",
    "confidence",
    "threshold",
    "decision",
    "seconds",
    "truth",
)
# A spreadsheet takes text that starts with one of these for a formula: https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class LabelsError(UserError):
    """The file of true labels cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Record:
    """One answer of the model. Only the ledger knows `picture` and `seconds`, only people `truth`."""

    event_id: str
    time: datetime
    endpoint: str
    variant: str
    model: str
    label: str
    confidence: float
    threshold: float
    accepted: bool
    probabilities: tuple[tuple[str, float], ...] = ()
    picture: str = ""
    version: str = ""
    run: int | None = None
    seconds: float | None = None
    truth: str | None = None
    image: bytes = b""

    @property
    def series(self) -> str:
        """What answered: endpoint, variant and model."""
        return " / ".join(part for part in (self.endpoint, self.variant, self.model) if part)


@dataclass
class Report:
    """All records in order of time, and what could not be turned into one."""

    descriptions: Sequence[dict[str, Any]]
    records: list[Record] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    duplicates: int = 0
    # Ledger rows without an answer of the model, by status.
    unanswered: Counter[str] = field(default_factory=Counter)

    @property
    def labels(self) -> list[str]:
        """Every class of a model, an answer or a person's label, the models' own first."""
        known = [label for description in self.descriptions for label in description["labels"]]
        seen = sorted({record.label for record in self.records})
        truths = sorted({record.truth for record in self.records if record.truth})
        return list(dict.fromkeys([*known, *seen, *truths]))


@dataclass(frozen=True)
class Truths:
    """True labels by event id, and by picture (any version, or one)."""

    events: dict[str, str] = field(default_factory=dict)
    pictures: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, event_id: str, picture: str, version: str) -> str | None:
        return (
            self.events.get(event_id)
            or self.pictures.get((picture, version))
            or self.pictures.get((picture, ""))
        )


def read_truths(path: Path) -> Truths:
    """Read a CSV with the column `truth`, and `event_id` or `picture` (perhaps with `version`).

    The report's own CSV has these columns: fill in `truth` and pass it in. Rows without a truth are
    ignored.

    Raises:
        LabelsError: the columns are missing, or it is not text.
        OSError: it cannot be read.
    """
    events, pictures = {}, {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            rows = csv.DictReader(file)
            columns = set(rows.fieldnames or ())
            if "truth" not in columns or not columns & {"event_id", "picture"}:
                raise LabelsError(
                    f"{path} has the columns {', '.join(sorted(columns)) or 'of nothing'}: it needs truth, and event_id or "
                    "picture, as the CSV beside a report has them."
                )
            for row in rows:
                truth = (row["truth"] or "").strip()
                if truth and row.get("event_id"):
                    events[row["event_id"].removeprefix("'")] = truth
                elif truth and row.get("picture"):
                    pictures[row["picture"], row.get("version") or ""] = truth
        except (UnicodeDecodeError, csv.Error) as error:
            raise LabelsError(f"{path} is not CSV in UTF-8 ({error}): save it as one.") from error
    return Truths(events, pictures)


def join(
    captured: Iterable[Inference | Broken],
    rows: Iterable[Row],
    descriptions: Sequence[dict[str, Any]],
    truths: Truths,
) -> Report:
    """Join answers, rows and labels by the inference id.

    Args:
        captured: as scripts.report.data_capture.read gives it.
        rows: the ledger's, in plain values.
        descriptions: model.json of each known model. The first with the right number of classes is
            used for an answer whose model is not known.
    """
    report = Report(descriptions)
    by_hash = {_hash(row): row for row in rows}
    seen: set[str] = set()
    answered: set[tuple[str, str]] = set()
    for inference in captured:
        if isinstance(inference, Broken):
            report.broken.append(inference)
        elif inference.event_id in seen:
            report.duplicates += 1
        else:
            seen.add(inference.event_id)
            digest, _, run = inference.inference_id.rpartition("-")
            answered.add((digest, run))
            _add(report, inference, by_hash.get(digest), run, truths)
    for digest, row in by_hash.items():
        if row.get("confidence") is None:
            report.unanswered[row["status"]] += 1
        elif (digest, str(row["run"])) not in answered:
            report.records.append(_from_row(row, truths))
    report.records.sort(key=lambda record: record.time)
    return report


def _hash(row: Row) -> str:
    return picture_hash(*parse_uri(row["picture"]), row["version"])


def _add(report: Report, inference: Inference, row: Row | None, run: str, truths: Truths) -> None:
    row = row or {}
    # The row is about its last run; an earlier answer only has the picture in common with it.
    decided = row if str(row.get("run")) == run and row.get("confidence") is not None else {}
    description = _description(report.descriptions, decided.get("model"), len(inference.probabilities))
    if description is None:
        reason = f"{len(inference.probabilities)} probabilities, and no known model has that many classes: name it by --model"
        report.broken.append(Broken(f"event {inference.event_id}", 0, reason))
        return
    labels, confidence = description["labels"], max(inference.probabilities)
    best = decided.get("label") or labels[inference.probabilities.index(confidence)]
    threshold = decided.get("threshold") or description["threshold"]
    picture, version = row.get("picture", ""), row.get("version", "")
    report.records.append(
        Record(
            event_id=inference.event_id,
            # captured times are whole seconds
            time=datetime.fromisoformat(decided["time"]) if decided else inference.time,
            endpoint=inference.endpoint,
            variant=inference.variant,
            model=decided.get("model") or "",
            label=best,
            confidence=confidence,
            threshold=threshold,
            accepted=best in description["classes_of_interest"] and confidence >= threshold,
            probabilities=tuple(zip(labels, inference.probabilities, strict=True)),
            picture=picture,
            version=version,
            run=int(run) if decided else None,
            seconds=decided.get("seconds"),
            truth=truths.of(inference.event_id, picture, version) or _reviewed(row),
            image=inference.picture,
        )
    )


def _reviewed(row: Row) -> str | None:
    label = row.get("reviewed_label")
    return None if label == UNUSABLE else label


def _description(
    descriptions: Sequence[dict[str, Any]], model: str | None, classes: int
) -> dict[str, Any] | None:
    fitting = [each for each in descriptions if len(each["labels"]) == classes]
    return next((each for each in fitting if each["name"] == model), fitting[0] if fitting else None)


def _from_row(row: Row, truths: Truths) -> Record:
    return Record(
        event_id="",
        time=datetime.fromisoformat(row["time"]),
        endpoint=LEDGER_ALONE,
        variant="",
        model=row.get("model") or "",
        label=row["label"],
        confidence=row["confidence"],
        threshold=row["threshold"],
        accepted=row["status"] == "ACCEPTED",
        picture=row["picture"],
        version=row["version"],
        run=row["run"],
        seconds=row.get("seconds"),
        truth=truths.of("", row["picture"], row["version"]) or _reviewed(row),
    )


def figures(report: Report) -> dict[str, Any]:
    """The report in numbers, for scripts and the terminal; shares come with 95 % intervals."""
    records = report.records
    accepted = np.array([record.accepted for record in records], bool)
    labelled = [record for record in records if record.truth]
    times = [record.seconds for record in records if record.seconds is not None]
    return {
        "records": len(records),
        "accepted": calibration.share(accepted),
        "by_class": dict(Counter(record.label for record in records)),
        "by_series": dict(Counter(record.series for record in records)),
        "median_confidence": round(float(np.median([record.confidence for record in records])), 4)
        if records
        else None,
        "seconds": {f"p{p}": round(float(np.percentile(times, p)), 3) for p in (50, 95, 99)}
        if times
        else None,
        "labelled": calibrated(labelled) if labelled else None,
        "unknown_truths": sorted({r.truth for r in labelled if r.truth} - _model_labels(report)),
        "unanswered": dict(report.unanswered),
        "broken": len(report.broken),
        "duplicates": report.duplicates,
        "from": ledger_time(records[0].time) if records else None,
        "until": ledger_time(records[-1].time) if records else None,
    }


def _model_labels(report: Report) -> set[str]:
    return {label for description in report.descriptions for label in description["labels"]}


def calibrated(labelled: Sequence[Record]) -> dict[str, Any]:
    """Accuracy, and calibration error over at most ten equally filled bins, of labelled records."""
    right = np.array([record.label == record.truth for record in labelled])
    confidence = np.array([record.confidence for record in labelled])
    accepted = np.array([record.accepted for record in labelled])
    parts = np.array_split(np.argsort(confidence, kind="stable"), min(10, len(labelled)))
    bins = [
        {"confidence": round(float(confidence[part].mean()), 4), "accuracy": calibration.share(right[part])}
        for part in parts
    ]
    gaps = [len(part) * abs(confidence[part].mean() - right[part].mean()) for part in parts]
    return {
        "accuracy": calibration.share(right),
        "accepted_accuracy": calibration.share(right[accepted]),
        "calibration_error": round(float(sum(gaps) / len(labelled)), 4),
        "reliability": bins,
    }


def write_csv(report: Report, path: Path) -> None:
    """Write one line for each record, ready for a spreadsheet: it takes no text for a formula."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for record in report.records:
            values = {
                "time": ledger_time(record.time),
                "decision": "accepted" if record.accepted else "refused",
                "confidence": round(record.confidence, 6),
            }
            cells = (values.get(column, getattr(record, column, None)) for column in COLUMNS)
            table.writerow([_cell(cell) for cell in cells])


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
