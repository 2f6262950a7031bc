"""Learns a team's own classes from few photographs: features of a frozen network, and a head that is fitted to them.

Needs neither PyTorch nor a GPU; the same pictures give the same model.
"""

from pathlib import Path
from typing import Any

from rich.progress import Progress

from training_scripts.data import dataset, readers
from training_scripts.data.dataset import NEITHER, DataError
from training_scripts.evaluation import calibration
from training_scripts.quick import backbone, head
from training_scripts.quick.head import Head
from training_scripts.quick.network import compose
from training_scripts.quick.photographs import Photographs, folds, read
from training_scripts.terminal import Terminal
from training_scripts.training import operating_point
from training_scripts.training.description import OutOfFold, describe
from training_scripts.training.operating_point import OperatingPoint
from training_scripts.training.settings import QUICK, Settings, Sources


def train(sources: Sources, settings: Settings, console: Terminal) -> tuple[dict[str, Any], bytes]:
    """Read, fit, calibrate and compose; returns the description (model.json) and the network (model.onnx).

    Raises:
        DataSourceError, DataError: see training_scripts.quick.photographs.read; or pictures to pretrain on.
        BackboneError: the backbone's file is missing or another.
    """
    if sources.pretraining:
        raise DataError(f"{QUICK} is pretrained: leave --pretrain out, or choose --architecture small")
    folders = [folder for folder in (sources.data, sources.reviewed) if folder]
    photographs = _look(folders, "train", settings.interest, console)
    classes, truth = photographs.classes, photographs.rows.truth
    labels = [*classes, NEITHER]
    parts = folds(photographs)
    fitted, answers = head.fit(photographs.features, truth, parts, len(classes))
    point = operating_point.operating_point(answers, truth, len(classes))
    fitted = fitted.lower_neither(point.shift)
    test = {}
    if readers.has_split(sources.data, "test"):
        test["test"] = _figures(fitted, point, _look([sources.data], "test", classes, console), labels)
    network = compose(fitted)
    own = {
        "input_size": backbone.SIDE,
        "mirrored": False,
        "mean": list(backbone.MEAN),
        "std": list(backbone.STD),
        "metrics": test,
        "hyperparameters": {"architecture": QUICK, "classes": ",".join(classes)},
        "data_sha256": dataset.digest(*folders),
    }
    return describe(network, labels, point, OutOfFold(photographs.rows, answers, parts), own), network


def _look(folders: list[Path], split: str, classes: list[str], console: Terminal) -> Photographs:
    """Read the pictures, show how far it is, and say which were left out."""
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("Looking at the pictures", total=None)
        photographs = read(
            folders, split, classes, lambda done, total: progress.update(task, completed=done, total=total)
        )
    for line in photographs.unread:
        console.print(f"left out: {line}")
    counts = photographs.rows.truth
    named = ", ".join(f"{(counts == number).sum()} {name}" for number, name in enumerate(photographs.classes))
    console.print(f"{split}: {named}, {(counts == len(photographs.classes)).sum()} foreign pictures")
    return photographs


def _figures(fitted: Head, point: OperatingPoint, test: Photographs, labels: list[str]) -> dict[str, Any]:
    probabilities = calibration.softmax(fitted.logits(test.features), point.temperature)
    return operating_point.figures(probabilities, test.rows.truth, point.threshold, labels)
