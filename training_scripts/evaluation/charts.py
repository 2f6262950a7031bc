"""The figures of an evaluation as pictures: risk-coverage curve, reliability, confusion."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_INCHES = (5.0, 4.0)
_DOTS_PER_INCH = 120


def draw(figures: dict[str, Any], folder: Path) -> list[Path]:
    """Write risk-coverage.png, reliability.png and confusion.png; returns their paths.

    Args:
        figures: as training_scripts.evaluate gives them.

    Raises:
        OSError: the folder cannot be written.
    """
    written = []
    for name, chart in (
        ("risk-coverage", _risk_coverage),
        ("reliability", _reliability),
        ("confusion", _confusion),
    ):
        figure = Figure(_INCHES, layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(f"{figures['model']['name']}, {figures['accuracy']['count']} pictures", fontsize=9)
        chart(axes, figures)
        # no version in the file: the same figures give the same bytes
        figure.savefig(folder / f"{name}.png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
        written.append(folder / f"{name}.png")
    return written


def _risk_coverage(axes: Axes, figures: dict[str, Any]) -> None:
    curve = figures["risk_coverage"]
    axes.step(
        [point["coverage"] for point in curve], [1 - point["accuracy"] for point in curve], where="post"
    )
    accepted, coverage = figures["accepted_accuracy"], figures["coverage"]["value"]
    if accepted["value"] is not None:
        low, high = (1 - bound for bound in reversed(accepted["interval"]))
        risk = 1 - accepted["value"]
        axes.errorbar(
            [coverage],
            [risk],
            [[risk - low], [high - risk]],
            fmt="o",
            capsize=4,
            color="tab:red",
            label=f"threshold {figures['threshold']:g}, 95 % interval",
        )
        axes.legend(loc="upper left")
    axes.set(
        xlabel="coverage: share of the pictures accepted", ylabel="risk: share of the accepted that is wrong"
    )
    axes.set_xlim(0, 1.02)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)


def _reliability(axes: Axes, figures: dict[str, Any]) -> None:
    points = figures["reliability"]
    confidence = [point["confidence"] for point in points]
    shares = [point["accuracy"] for point in points]
    # rounding may put a bound a hair inside its value
    below = [max(0.0, share["value"] - share["interval"][0]) for share in shares]
    above = [max(0.0, share["interval"][1] - share["value"]) for share in shares]
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.errorbar(confidence, [share["value"] for share in shares], [below, above], fmt="o-", capsize=3)
    axes.set(
        xlabel=f"confidence (calibration error {figures['calibration_error']:.3f})",
        ylabel="accuracy, with 95 % intervals",
        xlim=(min(0.4, *confidence), 1.02),
        ylim=(0, 1.02),
    )
    axes.grid(alpha=0.3)


def _confusion(axes: Axes, figures: dict[str, Any]) -> None:
    answers, truth = figures["confusion"]["answers"], figures["confusion"]["truth"]
    rows = [name for name, counts in truth.items() if sum(counts)]
    shares = [[count / sum(truth[name]) for count in truth[name]] for name in rows]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, name in enumerate(rows):
        for column, count in enumerate(truth[name]):
            shade = "white" if shares[row][column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=shade)
    axes.set_xticks(range(len(answers)), answers, rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel="best class", ylabel="truth")
