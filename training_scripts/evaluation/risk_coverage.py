"""Draws the risk-coverage curve of an artifact's cross-validation, with the recommended threshold's place on it.

python -m training_scripts.evaluation.risk_coverage MODEL.TAR.GZ PICTURE.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from training_scripts import artifact
from training_scripts.terminal import cleaned

# Stricter places rest on so few pictures that the curve is all noise there.
_FEWEST = 0.2


def figure(description: dict[str, Any]) -> Figure:
    """The curve of a model.json: share accepted across, share of wrong answers among the accepted upwards.

    Raises:
        ArtifactError: the description has no curve.
    """
    if "risk_coverage" not in description:
        raise artifact.ArtifactError("model.json has no risk_coverage: train the model again")
    places = [place for place in description["risk_coverage"] if place[1] >= _FEWEST]
    chosen = description["metrics"]["cross_validation"]
    coverage, accuracy = chosen["coverage"]["value"], chosen["accepted_accuracy"]["value"]
    drawing = Figure(figsize=(6.4, 3.6), dpi=120, layout="constrained")
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


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="risk_coverage", description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args(argv)
    try:
        description, _ = artifact.read_archive(arguments.artifact)
        arguments.picture.parent.mkdir(parents=True, exist_ok=True)
        figure(description).savefig(arguments.picture, metadata={"Software": None})
    except (artifact.ArtifactError, OSError) as error:
        print(cleaned(f"no picture: {error}"), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
