"""The report as one picture, for mails and pages that run no script."""

from pathlib import Path

import matplotlib.dates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.report.records import Report, calibrated

_INCHES = (11.0, 7.5)
_DOTS_PER_INCH = 120
# Okabe and Ito (2008): colour-blind people can distinguish them too.
_ACCEPTED, _REFUSED = "#0072b2", "#d55e00"


def draw(report: Report, title: str, path: Path) -> None:
    """Write a PNG: confidence over time and its distribution, class mix, calibration or time taken."""
    figure = Figure(_INCHES, layout="constrained")
    figure.suptitle(_plain(title), fontsize=11)
    labelled = any(record.truth for record in report.records)
    charts = {
        "time": _over_time,
        "distribution": _distribution,
        "classes": _class_mix,
        "last": _reliability if labelled else _time_taken,
    }
    places = figure.subplot_mosaic([["time"] * 3, ["distribution", "classes", "last"]])
    for name, chart in charts.items():
        chart(places[name], report)
        places[name].grid(alpha=0.3)
    figure.savefig(path, dpi=_DOTS_PER_INCH, metadata={"Software": None})


def _plain(text: str) -> str:
    """Text in which matplotlib does not take dollar signs for mathematics."""
    return text.replace("$", r"\$")


def _over_time(axes: Axes, report: Report) -> None:
    for accepted, colour, marker, name in (
        (True, _ACCEPTED, "o", "accepted"),
        (False, _REFUSED, "x", "refused"),
    ):
        chosen = [record for record in report.records if record.accepted == accepted]
        times = [record.time for record in chosen]
        axes.scatter(
            times,  # type: ignore[arg-type]  # matplotlib takes times
            [record.confidence for record in chosen],
            s=14,
            c=colour,
            marker=marker,
            alpha=0.6,
            label=f"{name}: {len(chosen):,}",
        )
    for threshold in sorted({record.threshold for record in report.records}):
        axes.axhline(threshold, color="black", linestyle="--", linewidth=1, label=f"threshold {threshold:g}")
    locator = matplotlib.dates.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(locator))
    axes.set(title="Confidence over time (UTC)")
    axes.legend(loc="lower left", fontsize=8)


def _distribution(axes: Axes, report: Report) -> None:
    confidences = [
        [record.confidence for record in report.records if record.accepted == accepted]
        for accepted in (True, False)
    ]
    lowest = min((value for values in confidences for value in values), default=0.0)
    edges = np.linspace(np.floor(lowest * 10) / 10, 1, 36)
    axes.hist(confidences, edges.tolist(), stacked=True, color=[_ACCEPTED, _REFUSED])
    axes.set(title="Distribution of confidence", ylabel="records")


def _class_mix(axes: Axes, report: Report) -> None:
    labels = report.labels
    left = np.zeros(len(labels))
    for accepted, colour in ((True, _ACCEPTED), (False, _REFUSED)):
        counts = [
            sum(r.label == label and r.accepted == accepted for r in report.records) for label in labels
        ]
        axes.barh([_plain(label) for label in labels], counts, left=left, color=colour)
        left += counts
    axes.invert_yaxis()
    axes.set(title="Class mix", xlabel="records")


def _reliability(axes: Axes, report: Report) -> None:
    figures = calibrated([record for record in report.records if record.truth])
    points = figures["reliability"]
    shares = [point["accuracy"] for point in points]
    below = [max(0.0, share["value"] - share["interval"][0]) for share in shares]
    above = [max(0.0, share["interval"][1] - share["value"]) for share in shares]
    confidence = [point["confidence"] for point in points]
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.errorbar(confidence, [share["value"] for share in shares], [below, above], fmt="o", capsize=3)
    axes.set(
        title=f"Calibration (error {figures['calibration_error']:.3f})",
        xlabel="confidence",
        ylabel="accuracy",
    )
    axes.set_xlim(min(0.4, *confidence), 1.02)
    axes.set_ylim(0, 1.02)


def _time_taken(axes: Axes, report: Report) -> None:
    times = [record.seconds for record in report.records if record.seconds is not None]
    axes.set(title="Time taken by the workflow", xlabel="seconds", ylabel="records")
    if times:
        axes.hist(np.minimum(times, np.percentile(times, 99) * 1.1), 30, color=_ACCEPTED)
    else:
        axes.text(0.5, 0.5, "only the ledger knows", ha="center", transform=axes.transAxes)
