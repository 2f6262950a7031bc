"""Evaluates an artifact on labelled pictures by asking the serving program, as the workflow does.

python -m training_scripts.evaluate MODEL.TAR.GZ ARCHIVE_OR_FOLDER [--split test] [--to FIGURES.JSON]
python -m training_scripts.evaluate MODEL.TAR.GZ --risk-coverage PICTURE.PNG
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training_scripts import artifact
from training_scripts.data import dataset
from training_scripts.data.readers import DataSourceError
from training_scripts.evaluation import calibration
from training_scripts.evaluation.corruptions import CORRUPTIONS
from training_scripts.evaluation.predictions import OUT_OF_DISTRIBUTION, Predictions, truth_of
from training_scripts.evaluation.serving_client import ServingFailed, ask, serving_archive
from training_scripts.evaluation.test_set import Pictures, read
from training_scripts.progress import Progress, silent
from training_scripts.terminal import cleaned

# Points of the risk-coverage curve that are kept; nobody could distinguish more in a picture.
_CURVE_POINTS = 200
# What is drawn, and the classes that a model must know for its answer to count.
_DRAWN = {
    "bicycle": {"bicycle"},
    "motorcycle": {"motorcycle"},
    "ambiguous": {"bicycle", "motorcycle"},
    "other": set[str](),
}


def evaluate(
    archive: Path, source: Path, split: str, drawn: int = 0, progress: Progress = silent
) -> dict[str, Any]:
    """Figures with 95 % intervals, at the artifact's own temperature and threshold.

    Args:
        archive: a packed artifact.
        source: an archive or a folder as training_scripts.data.readers reads them.
        drawn: also this many drawn pictures of each sort, from seeds that training does not use.
        progress: hears how far it is.

    Raises:
        ArtifactError, DataSourceError, ServingFailed.
    """
    with serving_archive(archive) as (port, description):
        pictures = read(source, split, description["classes_of_interest"], description["input_size"])
        predict = _Predictor(port, description, progress)
        answers = predict("Asking about the pictures", pictures.pixels, pictures.labels)
        return {
            "model": {"name": description["name"], "sha256": artifact.sha256(archive)},
            "data": {"source": source.name, "split": split, "sha256": pictures.digest()},
            "threshold": description["threshold"],
            **answers.shares(),
            **_calibration(answers),
            "classes": _per_class(answers),
            "confusion": _confusion(answers),
            "foreign_refused": _refused(answers, pictures.kinds),
            "robustness": _robustness(predict, pictures, answers),
            "drawn": _drawn(predict, drawn),
        }


@dataclass(frozen=True)
class _Predictor:
    port: int
    description: dict[str, Any]
    progress: Progress

    def __call__(self, text: str, pixels: Iterable[NDArray[np.uint8]], labels: Sequence[str]) -> Predictions:
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            self.progress(f"{text}: {done} of {len(labels)}", done / len(labels))

        probabilities = ask(self.port, pixels, count)
        return Predictions(self.description, probabilities, truth_of(labels, self.description))


def _calibration(answers: Predictions) -> dict[str, Any]:
    ours = answers.ours
    curve = calibration.risk_coverage(answers.confidence[ours], answers.right[ours])
    step = max(1, len(curve) // _CURVE_POINTS)
    probabilities, right = answers.probabilities[ours], answers.right[ours]
    parts = np.array_split(np.argsort(probabilities.max(1), kind="stable"), min(10, int(ours.sum())))
    error = calibration.calibration_error(probabilities, answers.truth[ours])
    return {
        "calibration_error": round(error, 4),
        "reliability": [
            {
                "confidence": round(float(probabilities[part].max(1).mean()), 4),
                "accuracy": calibration.share(right[part]),
            }
            for part in parts
        ],
        "risk_coverage": [
            {"threshold": round(t, 6), "coverage": round(c, 4), "accuracy": round(a, 4)}
            for t, c, a in [*curve[::step], *curve[-1:]]
        ],
    }


def _per_class(answers: Predictions) -> dict[str, dict[str, calibration.Share]]:
    """Recall and precision among the pictures of the classes of interest; foreign ones have their own figures."""
    ours, labels = answers.ours, answers.description["labels"]
    figures = {}
    for name in answers.description["classes_of_interest"]:
        number = labels.index(name)
        figures[name] = {
            "recall": calibration.share(answers.right[answers.truth == number]),
            "precision": calibration.share(answers.right[ours & (answers.best == number)]),
        }
    return figures


def _confusion(answers: Predictions) -> dict[str, Any]:
    labels = answers.description["labels"]
    rows = {name: labels.index(name) for name in answers.description["classes_of_interest"]}
    counts = {
        name: [int(((answers.truth == number) & (answers.best == best)).sum()) for best in range(len(labels))]
        for name, number in {**rows, "foreign": OUT_OF_DISTRIBUTION}.items()
    }
    return {"answers": labels, "truth": counts}


def _refused(answers: Predictions, kinds: list[str | None]) -> dict[str, calibration.Share]:
    groups = np.array([kind or "" for kind in kinds])
    named = {kind: groups == kind for kind in sorted({kind for kind in kinds if kind})}
    return {
        kind: calibration.share(~answers.accepted[chosen])
        for kind, chosen in {"all": ~answers.ours, **named}.items()
    }


def _robustness(predict: _Predictor, pictures: Pictures, undamaged: Predictions) -> dict[str, dict[str, Any]]:
    """Accuracy on damaged pictures of the classes of interest, and what it lost against the undamaged ones."""
    ours = np.flatnonzero(undamaged.ours)
    labels, before = [pictures.labels[i] for i in ours], undamaged.right[ours].mean()
    figures = {}
    for name, damage in CORRUPTIONS.items():
        answers = predict(f"Damaging by {name}", (damage(pictures.pixels[i], int(i)) for i in ours), labels)
        share = calibration.share(answers.right)
        figures[name] = {"accuracy": share, "lost": round(float(before - answers.right.mean()), 4)}
    return figures


def _drawn(predict: _Predictor, count: int) -> dict[str, dict[str, calibration.Share]]:
    """Drawn vehicles accepted with the right label; other things, and what is between the two, refused."""
    interest = predict.description["classes_of_interest"]
    figures: dict[str, dict[str, calibration.Share]] = {}
    for sort, needed in _DRAWN.items() if count else ():
        if not needed <= set(interest):
            continue
        pixels = (dataset.drawn_pixels(sort, seed) for seed in range(count))
        answers = predict(f"Drawing {sort}", pixels, [sort] * count)
        if sort in interest:
            figures[sort] = {"accepted_right": calibration.share(answers.right & answers.accepted)}
        else:
            figures[sort] = {"refused": calibration.share(answers.right)}
    return figures


def lines(figures: dict[str, Any]) -> list[str]:
    """The figures as text, one a line, each with its interval and sample size."""
    named = [(name, figures[name]) for name in ("accuracy", "coverage", "accepted_accuracy")]
    for label, of_class in figures["classes"].items():
        named += [(f"{name} of {label}", share) for name, share in of_class.items()]
    named += [(f"foreign refused: {kind}", share) for kind, share in figures["foreign_refused"].items()]
    for sort, of_sort in figures["drawn"].items():
        named += [(f"drawn {sort}: {name.replace('_', ' ')}", share) for name, share in of_sort.items()]
    text = [f"{name:34}{_text(share)}" for name, share in named]
    text.insert(3, f"{'calibration error':34}{figures['calibration_error']:.4f}")
    for name, figure in figures["robustness"].items():
        text.append(f"{name:34}{_text(figure['accuracy'])}, {100 * figure['lost']:.1f} points lost")
    return text


def _text(share: Any) -> str:
    if share["value"] is None:
        return "no pictures"
    low, high = share["interval"]
    return f"{share['value']:.4f}  ({low:.4f} to {high:.4f}, {share['count']} pictures)"


def write(figures: dict[str, Any], file: Path) -> list[Path]:
    """Write the figures to a JSON file and the charts beside it; returns what was written.

    Raises:
        OSError: the folder cannot be written.
    """
    from training_scripts.evaluation import charts  # noqa: PLC0415 - Matplotlib takes long to import, and few need it

    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return [file, *charts.draw(figures, file.parent)]


def draw_risk_coverage(archive: Path, picture: Path) -> None:
    """Draw the risk-coverage curve of an artifact's cross-validation.

    Raises:
        ArtifactError: there is no artifact, or it has no curve.
        OSError: the picture cannot be written.
    """
    from training_scripts.evaluation import charts  # noqa: PLC0415 - as in write

    description, _ = artifact.read_archive(archive)
    picture.parent.mkdir(parents=True, exist_ok=True)
    charts.cross_validated(description).savefig(picture, metadata={"Software": None})


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("source", type=Path, nargs="?", help="a CIFAR archive, or a folder <class>/<file>")
    parser.add_argument("--split", default="test", choices=("train", "test"))
    parser.add_argument("--drawn", type=int, default=0, help="also this many drawn pictures of each sort")
    parser.add_argument("--to", type=Path, help="a JSON file; the charts go beside it")
    parser.add_argument(
        "--risk-coverage",
        type=Path,
        metavar="PICTURE",
        help="draw the curve of the artifact's cross-validation; needs no source",
    )
    arguments = parser.parse_args(argv)
    if not (arguments.source or arguments.risk_coverage):
        parser.error("name the source of the pictures, or --risk-coverage PICTURE")
    try:
        if arguments.risk_coverage:
            draw_risk_coverage(arguments.artifact, arguments.risk_coverage)
        if not arguments.source:
            return 0
        figures = evaluate(arguments.artifact, arguments.source, arguments.split, arguments.drawn)
        if arguments.to:
            write(figures, arguments.to)
    except (artifact.ArtifactError, DataSourceError, ServingFailed, OSError) as error:
        print(cleaned(f"evaluation failed: {error}"), file=sys.stderr)
        return 1
    print(cleaned("\n".join(lines(figures))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
