"""Trains, calibrates and exports a model: by hand, or in a SageMaker training job in script mode.

By hand:  python -m training_scripts.train --data ARCHIVE [--pretrain ARCHIVE] [--reviewed FOLDER] --model-dir FOLDER
In a job: channels from SM_CHANNEL_TRAINING, _PRETRAIN and _REVIEWED, hyperparameters from the command line or
SM_HPS, the artifact to SM_MODEL_DIR, checkpoints to /opt/ml/checkpoints
(https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md).
"""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training_scripts import artifact
from training_scripts.errors import UserError
from training_scripts.terminal import Terminal, cleaned
from training_scripts.training.settings import ARCHITECTURES, QUICK, Settings, Sources

# Where a job finds its folders; a container has them at the default.
BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
FAILURE_FILE = BASE / "output" / "failure"
JOB_CHECKPOINTS = BASE / "checkpoints"


def learn(
    sources: Sources, settings: Settings, checkpoints: Path, console: Terminal
) -> tuple[dict[str, Any], bytes]:
    """Train as the architecture asks; returns the description (model.json) and the network (model.onnx).

    Raises:
        UserError: sources that cannot be read or learnt from; the message says what to do.
    """
    if settings.architecture == QUICK:
        from training_scripts.quick import trainer as quick  # noqa: PLC0415 - needs no PyTorch

        return quick.train(sources, settings, console)
    from training_scripts.training import from_scratch  # noqa: PLC0415 - needs no scikit-learn

    return from_scratch.train(sources, settings, checkpoints, console)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="train", description="Train the model on labelled pictures.")
    parser.add_argument("--data", type=_source, default=os.environ.get("SM_CHANNEL_TRAINING"))
    parser.add_argument("--pretrain", type=_source, default=os.environ.get("SM_CHANNEL_PRETRAIN"))
    parser.add_argument("--reviewed", type=Path, default=os.environ.get("SM_CHANNEL_REVIEWED"))
    parser.add_argument("--model-dir", type=Path, default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--checkpoints", type=Path, help="a run that was cut off continues from here")
    given = json.loads(os.environ.get("SM_HPS", "{}"))
    for field in dataclasses.fields(Settings):
        value = given.get(field.name, field.default)
        choices = ARCHITECTURES if field.name == "architecture" else None
        # both spellings: script mode hands hyperparameters over under the names they were given
        names = dict.fromkeys((f"--{field.name.replace('_', '-')}", f"--{field.name}"))
        parser.add_argument(*names, type=type(field.default), default=str(value), choices=choices)
    arguments = parser.parse_args(argv)
    for name in ("data", "model_dir"):
        if getattr(arguments, name) is None:
            parser.error(f"--{name.replace('_', '-')} is needed (in a job the environment names it)")
    return arguments


def _source(text: str) -> Path:
    """A channel is a folder: take the archive in it, where there is one."""
    path = Path(text)
    archives = sorted(path.glob("*.tar.*")) if path.is_dir() else []
    return archives[0] if archives else path


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    settings = Settings(**{f.name: getattr(arguments, f.name) for f in dataclasses.fields(Settings)})
    in_job = "SM_MODEL_DIR" in os.environ
    folder = arguments.model_dir
    checkpoints = arguments.checkpoints or (JOB_CHECKPOINTS if in_job else folder / "checkpoints")
    console = Terminal(soft_wrap=True)
    try:
        sources = Sources(arguments.data, arguments.pretrain, arguments.reviewed)
        description, network = learn(sources, settings, checkpoints, console)
        artifact.write(folder, description, network)
        # a job's folder is packed by SageMaker itself
        packed = folder if in_job else artifact.pack(folder)
    except (UserError, OSError) as error:
        print(cleaned(f"training failed: {error}"), file=sys.stderr)
        if in_job and FAILURE_FILE.parent.is_dir():
            FAILURE_FILE.write_text(str(error))
        return 1
    console.print(_metrics_line(description["metrics"]["cross_validation"]))
    console.print(f"model {description['name']}: {packed}")
    return 0


def _metrics_line(figures: dict[str, Any]) -> str:
    """One line, from which a training job's metric definitions read."""
    named = " ".join(f"{name}={figures[name]['value']:.4f}" for name in ("accuracy", "coverage"))
    return f"cross_validation {named}"


if __name__ == "__main__":
    sys.exit(main())
