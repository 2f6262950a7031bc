"""Compares hyperparameters by cross-validation on the training rows alone and prints a table.

python -m training_scripts.sweep --data ARCHIVE [--pretrain ARCHIVE] --checkpoints FOLDER [--use-folds 0,1]
    strength=0.4,0.8 epochs=20
"""

import argparse
import dataclasses
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from functions.common.shown import shown
from training_scripts.data import readers
from training_scripts.data.dataset import DataError
from training_scripts.evaluation import calibration
from training_scripts.terminal import Terminal, cleaned
from training_scripts.training import operating_point
from training_scripts.training.from_scratch import load
from training_scripts.training.loop import TrainingError
from training_scripts.training.settings import Settings, Sources
from training_scripts.training.trainer import Material, Trainer

_TYPES: dict[str, Any] = {field.name: type(field.default) for field in dataclasses.fields(Settings)}
# These change the material itself; one sweep reads it once.
_FIXED = ("classes", "drawn", "folds", "seed")
_FILE_WIDTH = 200


def grid(words: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every combination of words such as "strength=0.4,0.8".

    Raises:
        ValueError: no such hyperparameter, one that a sweep cannot vary, or a value of the wrong kind.
    """
    axes = {}
    for word in words:
        name, _, values = word.partition("=")
        if name not in _TYPES or name in _FIXED:
            raise ValueError(
                f"{shown(name)} cannot be swept: choose from {', '.join(n for n in _TYPES if n not in _FIXED)}"
            )
        axes[name] = [_TYPES[name](value) for value in values.split(",")]
    for combination in itertools.product(*axes.values()):
        yield dict(zip(axes, combination, strict=True))


def folds(text: str) -> list[int]:
    """Fold numbers such as "0,1".

    Raises:
        ValueError: fewer than two, or one that does not exist.
    """
    used = sorted({int(fold) for fold in text.split(",")})
    if len(used) < 2 or not set(used) <= set(range(Settings().folds)):
        raise ValueError(f"folds {text}: name at least two of 0 to {Settings().folds - 1}")
    return used


def cross_validated(material: Material, trainer: Trainer, used: Sequence[int]) -> dict[str, Any]:
    """Accuracy, calls of "neither" and the operating point's figures over the folds used."""
    chosen = np.isin(material.folds, used)
    answers = trainer.out_of_fold(used)[chosen]
    truth = material.real.truth[chosen]
    figures, _ = operating_point.cross_fitted(answers, truth, material.folds[chosen], trainer.labels)
    best, ours = answers.argmax(1), truth < answers.shape[1] - 1
    figures["called_neither"] = calibration.share(best[ours] == answers.shape[1] - 1)
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="sweep", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pretrain", type=Path)
    parser.add_argument("--checkpoints", type=Path, required=True, help="a sweep continues from here")
    parser.add_argument("--use-folds", default="0,1,2,3,4", help="at least two, for cross-fitting")
    parser.add_argument("values", nargs="+", help="hyperparameter=value[,value...]")
    arguments = parser.parse_args(argv)
    # a table that goes into a file is not folded to the width of a terminal
    console = Terminal(soft_wrap=True, width=None if sys.stdout.isatty() else _FILE_WIDTH)
    names = ("accuracy", "called_neither", "coverage", "accepted_accuracy", "neither_refused")
    table = Table("setting", *(name.replace("_", " ") for name in names), "seconds")
    try:
        combinations = list(grid(arguments.values))
        used = folds(arguments.use_folds)
        material = load(Sources(arguments.data, arguments.pretrain), Settings())
        for combination in combinations:
            started = time.monotonic()
            trainer = Trainer(Settings(**combination), material, arguments.checkpoints, console)
            figures = cross_validated(material, trainer, used)
            cells = (f"{figures[n]['value']} of {figures[n]['count']}" for n in names)
            words = " ".join(f"{name}={value}" for name, value in combination.items())
            table.add_row(words, *cells, f"{time.monotonic() - started:.0f}")
    except (ValueError, readers.DataSourceError, DataError, TrainingError, OSError) as error:
        print(cleaned(f"the sweep failed: {error}"), file=sys.stderr)
        return 1
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
