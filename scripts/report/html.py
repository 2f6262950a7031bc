"""The report as one HTML file that needs no server and no network."""

import base64
import heapq
from collections import defaultdict
from pathlib import Path
from string import Template
from typing import Any

from functions.common.errors import ImageRejected
from functions.common.picture import encode_png, read_picture
from scripts.common.static_page import csp_hash, inline, read_part
from scripts.report.records import Record, Report

STATIC = Path(__file__).with_name("static")
THUMBNAIL_PIXELS = 64
LEAST_SURE = 24
BROKEN_SHOWN = 50


def render(report: Report, title: str, made: str) -> str:
    """The whole page. What came from outside enters it only as data, and is shown only as text.

    Args:
        title: what the report is about.
        made: when it was made, for people.
    """
    style, script = read_part(STATIC / "report.css"), read_part(STATIC / "report.js")
    return Template(read_part(STATIC / "report.html")).substitute(
        style=style,
        script=script,
        style_hash=csp_hash(style),
        script_hash=csp_hash(script),
        data=inline(_data(report, title, made)),
    )


def _data(report: Report, title: str, made: str) -> dict[str, Any]:
    """Columns instead of rows, and each text once, which takes a tenth of the space."""
    series, labels = _Numbers(), _Numbers(report.labels)
    thresholds, pictures = _Numbers(), _Numbers()
    records = report.records
    rows = [
        (
            int(record.time.timestamp() * 1000),
            round(record.confidence, 5),
            labels[record.label],
            series[record.series],
            thresholds[record.threshold],
            int(record.accepted),
            None if record.seconds is None else round(record.seconds, 3),
            labels[record.truth] if record.truth else None,
            pictures[record.picture or record.event_id],
        )
        for record in records
    ]
    return {
        "title": title,
        "made": made,
        "labels": labels.values,
        "series": series.values,
        "thresholds": thresholds.values,
        "pictures": pictures.values,
        "interest": sorted({n for d in report.descriptions for n in d["classes_of_interest"]}),
        "columns": [
            "time",
            "confidence",
            "label",
            "series",
            "threshold",
            "accepted",
            "seconds",
            "truth",
            "picture",
        ],
        "records": rows,
        "baselines": _baselines(report),
        "leastSure": _least_sure(records),
        "unanswered": dict(report.unanswered),
        "duplicates": report.duplicates,
        "broken": {
            "count": len(report.broken),
            "lines": [[each.place, each.line, each.reason] for each in report.broken[:BROKEN_SHOWN]],
        },
    }


class _Numbers:
    """Gives each value a number, in order of appearance."""

    def __init__(self, values: list[Any] | None = None) -> None:
        self.values = list(values or [])
        self._numbers = {value: number for number, value in enumerate(self.values)}

    def __getitem__(self, value: Any) -> int:
        if value not in self._numbers:
            self._numbers[value] = len(self.values)
            self.values.append(value)
        return self._numbers[value]


def _baselines(report: Report) -> list[dict[str, Any]]:
    """What each model saw among its accepted training pictures, where its model.json says so."""
    return [
        {"model": description["name"], "classMix": description["baseline"]["class_mix"]}
        for description in report.descriptions
        if isinstance(description.get("baseline"), dict) and "class_mix" in description["baseline"]
    ]


def _least_sure(records: list[Record]) -> list[dict[str, Any]]:
    """The lowest confidences of each series, so that every filter finds some.

    A picture that ran again is shown with its last answer.
    """
    latest = {(record.picture or record.event_id, record.version): n for n, record in enumerate(records)}
    by_series: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for number in latest.values():
        record = records[number]
        if record.probabilities:
            by_series[record.series].append((record.confidence, number))
    chosen = sorted(
        number for found in by_series.values() for _, number in heapq.nsmallest(LEAST_SURE, found)
    )
    return [
        {
            "record": number,
            "picture": _thumbnail(records[number].image),
            "version": records[number].version,
            "probabilities": [[label, round(p, 4)] for label, p in records[number].probabilities],
        }
        for number in chosen
    ]


def _thumbnail(image: bytes) -> str:
    """The picture, decoded and encoded again as PNG in base64; empty if it is not acceptable."""
    try:
        return base64.b64encode(encode_png(read_picture(image, THUMBNAIL_PIXELS).image)).decode()
    except ImageRejected:
        return ""
