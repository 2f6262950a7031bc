"""Learns from a folder of photographs on this machine, without a training job."""

import sys
from pathlib import Path

from scripts.models.training_jobs import check_interpreter
from training_scripts import artifact, train
from training_scripts.data.dataset import NEITHER
from training_scripts.data.readers import class_names
from training_scripts.terminal import Terminal
from training_scripts.training.settings import QUICK, Settings, Sources


def classes_of(folder: Path) -> list[str]:
    """The classes of a folder: the names of the folders in it, but for "neither".

    Raises:
        DataSourceError: it cannot be read.
    """
    return [name for name in class_names(folder) if name != NEITHER]


def learn(folder: Path, to: Path) -> Path:
    """Learn all classes of a folder; returns the packed artifact, which is written to the folder `to`.

    Raises:
        ToolsMissing: a package is not installed.
        DataSourceError, DataError: see training_scripts.quick.photographs.read.
    """
    check_interpreter(sys.executable, QUICK)
    settings = Settings(classes=",".join(classes_of(folder)), architecture=QUICK)
    artifact.write(
        to, *train.learn(Sources(folder, None), settings, to, Terminal(stderr=True, soft_wrap=True))
    )
    return artifact.pack(to)
