"""How good a model is that learnt from few photographs, judged on all others; no foreign picture is shown to it.

python -m tests.performance.benchmarks.few_photographs DATA [--draws 10]

photos: two classes, and foreign pictures of everything else. objects: eighteen everyday classes to learn and two unseen
ones to refuse, drawn anew each time. Prints means over the draws, and their standard deviation.
"""

import argparse
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from functions.common.picture import read_picture
from training_scripts.data.readers import SUFFIXES
from training_scripts.evaluation import calibration
from training_scripts.quick import head
from training_scripts.quick.backbone import SIDE, Backbone
from training_scripts.training import operating_point

_FOLDS = 5
_KEPT = 0.95
COLUMNS = ("accuracy", "accepted", "right of these", "foreign refused", "refused at 0.95 kept")


@dataclass(frozen=True)
class Pictures:
    features: NDArray[np.float32]
    labels: NDArray[np.str_]


def read(folder: Path) -> Pictures:
    files = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES)
    network = Backbone()
    features = [
        network.features(np.asarray(read_picture(path.read_bytes(), SIDE).image))
        for path in track(files, f"Looking at {folder.name}", transient=True)
    ]
    return Pictures(np.stack(features), np.array([path.parent.name for path in files]))


def judged(pictures: Pictures, classes: Sequence[str], count: int, rng: np.random.Generator) -> list[float]:
    """COLUMNS of one model that learnt from `count` pictures of each class."""
    parts = [rng.permutation(np.flatnonzero(pictures.labels == name)) for name in classes]
    truth = np.repeat(np.arange(len(classes)), count)
    learnt = np.concatenate([part[:count] for part in parts])
    folds = np.concatenate([np.arange(count) % _FOLDS for _ in classes])
    fitted, answers = head.fit(pictures.features[learnt], truth, folds, len(classes))
    point = operating_point.operating_point(answers, truth, len(classes))

    def confidence(rows: NDArray) -> tuple[NDArray, NDArray]:
        probabilities = point.probabilities(fitted.logits(pictures.features[rows]))
        return calibration.confidence_of_interest(probabilities, len(classes)), probabilities[:, :-1].argmax(
            1
        )

    others = np.concatenate([part[count:] for part in parts])
    known = np.concatenate([np.full(len(part) - count, number) for number, part in enumerate(parts)])
    ours, predicted = confidence(others)
    foreign, _ = confidence(np.flatnonzero(~np.isin(pictures.labels, classes)))
    accepted, right = ours >= point.threshold, predicted == known
    kept = np.quantile(ours, 1 - _KEPT)
    return [
        right.mean(),
        accepted.mean(),
        right[accepted].mean() if accepted.any() else 1.0,
        (foreign < point.threshold).mean(),
        (foreign < kept).mean(),
    ]


def tasks(folder: Path, draws: int) -> Iterator[tuple[str, list[list[float]]]]:
    photos = read(folder / "photos")
    for count in (5, 10, 20, 50, 85):
        yield (
            f"photos, {count} a class",
            [
                judged(photos, ("bicycle", "motorcycle"), count, np.random.default_rng(draw))
                for draw in range(draws)
            ],
        )
    objects = read(folder / "objects")
    names = sorted(set(objects.labels))
    rows = []
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        rows.append(judged(objects, list(rng.permutation(names)[2:]), 20, rng))
    yield "objects, 18 classes, 20 a class", rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("data", type=Path, help="a folder that holds photos/ and objects/")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    table = Table("learnt from", *COLUMNS)
    for name, rows in tasks(arguments.data, arguments.draws):
        means, spreads = np.mean(rows, 0), np.std(rows, 0)
        table.add_row(
            name, *(f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(means, spreads, strict=True))
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
