"""The figures of an evaluation and of a cross-validation as pictures."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training_scripts import artifact

_INCHES = (5.0, 4.0)
_DOTS_PER_INCH = 120
# Stricter thresholds accept so few pictures that the curve is all noise there.
_FEWEST = 0.2


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


def cross_validated(description: dict[str, Any]) -> Figure:
    """The risk-coverage curve of a model.json, with the place of the recommended threshold on it.

    Raises:
        ArtifactError: the description has no curve.
    """
    if "risk_coverage" not in description:
        raise artifact.ArtifactError("model.json has no risk_coverage: train the model again")
    places = [place for place in description["risk_coverage"] if place[1] >= _FEWEST]
    chosen = description["metrics"]["cross_validation"]
    coverage, accuracy = chosen["coverage"]["value"], chosen["accepted_accuracy"]["value"]
    drawing = Figure(figsize=(6.4, 3.6), dpi=_DOTS_PER_INCH, layout="constrained")
    axes = drawing.add_subplot()
    axes.plot([p[1] for p in places], [100 * (1 - p[2]) for p in places], label="cross-validated")
    axes.axhline(1, color="grey", linestyle=":", label="goal: 99 % of the accepted are right")
    text = (
        f"threshold {description['threshold']:.3f}: {coverage:.1%} accepted, {1 - accuracy:.1%} of them wrong"
    )
    axes.plot([coverage], [100 * (1 - accuracy)], "o", label=text)
    axes.set_xlabel(f"share of pictures of {' and '.join(description['classes_of_interest'])} accepted")
    axes.set_ylabel("wrong among the accepted, %")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left")
    return drawing


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
