"""Trains a small network from the first weight on: reads and splits the pictures, trains, calibrates, exports."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from training_scripts.data import dataset, readers
from training_scripts.data.dataset import NEITHER, DataError, LabelledImages
from training_scripts.evaluation import calibration
from training_scripts.terminal import Terminal
from training_scripts.training import operating_point
from training_scripts.training.description import OutOfFold, describe
from training_scripts.training.loop import MEAN, STD
from training_scripts.training.onnx_export import to_onnx
from training_scripts.training.settings import Settings, Sources
from training_scripts.training.trainer import Material, Trainer


def train(
    sources: Sources, settings: Settings, checkpoints: Path, console: Terminal
) -> tuple[dict[str, Any], bytes]:
    """Train and calibrate; returns the description (model.json) and the network (model.onnx).

    Raises:
        DataSourceError, DataError: unreadable sources, no pictures, one class only, too few for the folds.
        TrainingError: the loss is not finite, or the export answers differently.
    """
    material = load(sources, settings)
    official = sources.data.is_file() and readers.is_official(sources.data)
    console.print(
        f"{len(material.real)} real pictures ({'the' if official else 'not the'} official CIFAR-100 archive), "
        f"{len(material.pretraining)} more foreign and {len(material.drawn)} drawn ones; checkpoints in {checkpoints}"
    )
    trainer = Trainer(settings, material, checkpoints, console)
    answers = trainer.out_of_fold()
    truth = material.real.truth
    point = operating_point.operating_point(answers, truth, len(settings.interest))
    network = trainer.network("final", np.ones(len(material.real), bool))
    network.lower_neither(point.shift)
    exported = to_onnx(network, readers.SIDE)

    def evaluated(rows: LabelledImages) -> dict[str, Any]:
        probabilities = calibration.softmax(trainer.answers(network, rows), point.temperature)
        return operating_point.figures(probabilities, rows.truth, point.threshold, trainer.labels)

    metrics = {}
    if len(material.test):
        metrics["test"] = evaluated(material.test)
    if len(material.foreign):
        metrics["unseen_classes_refused"] = evaluated(material.foreign)["neither_refused"]
    own = {
        "input_size": readers.SIDE,
        "mean": list(MEAN),
        "std": list(STD),
        "metrics": metrics,
        "hyperparameters": dataclasses.asdict(settings),
        "data_sha256": material.digest,
    }
    judged = OutOfFold(material.real, answers, material.folds)
    return describe(exported, trainer.labels, point, judged, own), exported


def load(sources: Sources, settings: Settings) -> Material:
    """Read and split everything.

    Raises:
        DataSourceError, DataError: unreadable sources, no pictures, one class only, too few for the folds.
    """
    ours, outliers, foreign = dataset.split_rows(
        list(readers.read_pictures(sources.data, "train")), settings.interest
    )
    real = dataset.concatenate([ours, outliers, _reviewed_rows(sources.reviewed, settings.interest)])
    test, test_foreign = _test_rows(sources.data, settings.interest)
    pretraining, classes = _pretraining_rows(sources.pretraining, settings.interest)
    return Material(
        real=real,
        folds=dataset.folds(real, settings.folds, settings.seed),
        drawn=dataset.drawn_rows(settings.interest, settings.drawn, dataset.DRAWN_SEEDS),
        pretraining=pretraining,
        pretraining_classes=classes,
        digest=dataset.digest(*filter(None, (sources.data, sources.pretraining, sources.reviewed))),
        pretraining_digest=dataset.digest(sources.pretraining) if sources.pretraining else "",
        test=test,
        foreign=dataset.concatenate([foreign, test_foreign]),
    )


def _test_rows(source: Path, interest: list[str]) -> tuple[LabelledImages, LabelledImages]:
    """The test split's pictures of the classes of interest and of the classes that only judge, where it has any."""
    if not readers.has_split(source, "test"):
        return dataset.rows_of([], []), dataset.rows_of([], [])
    pictures = list(readers.read_pictures(source, "test"))
    test, outliers, foreign = dataset.split_rows(pictures, interest)
    # what a staged set calls "neither" there is of classes that its training split lacks
    staged = any(picture.label == NEITHER for picture in pictures)
    return test, dataset.concatenate([outliers, foreign]) if staged else foreign


def _pretraining_rows(source: Path | None, interest: list[str]) -> tuple[LabelledImages, int]:
    """All pictures of other classes, numbered by class: a class of interest is not part of "neither"."""
    if source is None:
        return dataset.rows_of([], []), 0
    pictures = [p for p in readers.read_pictures(source, "train") if p.label not in interest]
    names = sorted({p.label for p in pictures})
    return dataset.rows_of(pictures, [names.index(p.label) for p in pictures]), len(names)


def _reviewed_rows(source: Path | None, interest: list[str]) -> LabelledImages:
    """What people say the doubtful pictures of a running workflow are: classes of interest, or "neither".

    Raises:
        DataError: a label of another model.
    """
    if source is None:
        return dataset.rows_of([], [])
    pictures, labels = list(readers.read_pictures(source, "train")), [*interest, NEITHER]
    if unknown := sorted({p.label for p in pictures} - set(labels)):
        raise DataError(
            f"reviewed pictures of {', '.join(unknown)}: the classes to train are {', '.join(labels)}"
        )
    return dataset.rows_of(pictures, [labels.index(p.label) for p in pictures])
