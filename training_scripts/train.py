"""Trains, calibrates and exports a model: by hand, or in a SageMaker training job in script mode.

By hand:  python -m training_scripts.train --data ARCHIVE [--pretrain ARCHIVE] --model-dir FOLDER
In a job: channels from SM_CHANNEL_TRAINING and SM_CHANNEL_PRETRAIN, hyperparameters from the command line or
SM_HPS, the artifact to SM_MODEL_DIR, checkpoints to /opt/ml/checkpoints
(https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md).
"""

import argparse
import dataclasses
import functools
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Generator, Tensor

from training_scripts import artifact, calibration, data, judge, stage
from training_scripts.data import NEITHER, DataError, Rows
from training_scripts.export import to_onnx
from training_scripts.fit import MEAN, STD, Examples, Schedule, TrainingError, fit, logits, normalise
from training_scripts.network import WIDTHS, Network

FAILURE_FILE = Path("/opt/ml/output/failure")
JOB_CHECKPOINTS = Path("/opt/ml/checkpoints")


@dataclass(frozen=True)
class Settings:
    """The hyperparameters of one training; everything that, with the data, determines the model."""

    classes: str = "bicycle,motorcycle"
    architecture: str = "small"
    epochs: int = 40
    pretrain_epochs: int = 5
    batch_size: int = 125
    muon_lr: float = 0.05
    neither_per_epoch: int = 500
    drawn_per_epoch: int = 300
    drawn: int = 1600
    folds: int = 5
    seed: int = 0

    @property
    def interest(self) -> list[str]:
        return [name.strip() for name in self.classes.split(",") if name.strip()]


@dataclass(frozen=True)
class Material:
    """All that one training sees: real rows with folds, more outliers, drawn rows, and rows that only judge."""

    real: Rows
    folds: np.ndarray
    outliers: Rows
    drawn: Rows
    pretraining: Rows
    pretraining_classes: int
    digest: str
    pretraining_digest: str
    test: Rows
    foreign: Rows


class Trainer:
    """Runs the stages of one training and shows their progress."""

    def __init__(self, settings: Settings, material: Material, checkpoints: Path, console: Console) -> None:
        self._settings, self._material, self._checkpoints, self._console = (
            settings,
            material,
            checkpoints,
            console,
        )
        self.labels = [*settings.interest, NEITHER]
        self._device = torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )

    @functools.cached_property
    def _pretrained(self) -> Network | None:
        rows = self._material.pretraining
        if not len(rows):
            return None
        network = self._new(self._material.pretraining_classes, rows)
        examples = Examples(
            _tensor(rows), torch.eye(self._material.pretraining_classes)[torch.from_numpy(rows.truth)]
        )
        schedule = Schedule(self._settings.pretrain_epochs, 250, muon_lr=0.1, strength=0.5)
        return self._fit(
            "pretrain", network, examples, lambda g: torch.randperm(len(rows), generator=g), schedule
        )

    def out_of_fold(self) -> np.ndarray:
        """Logits [N, classes] of every real row, each from a network that did not see its fold."""
        real, answers = (
            self._material.real,
            np.zeros((len(self._material.real), len(self.labels)), np.float32),
        )
        for fold in range(self._settings.folds):
            judged = self._material.folds == fold
            network = self.network(f"fold-{fold}", ~judged)
            answers[judged] = logits(
                network, _tensor(Rows(real.pixels[judged], real.truth[judged])), self._device
            )
        return answers

    def network(self, run: str, used: np.ndarray) -> Network:
        """Train one network on the chosen real rows [N] (bool), the outliers and the drawn rows."""
        m, s = self._material, self._settings
        kept = Rows(m.real.pixels[used], m.real.truth[used])
        rows = data.joined([kept, m.outliers, m.drawn])
        examples = Examples(_tensor(rows), torch.from_numpy(data.targets(rows, len(self.labels))))
        network = self._new(len(self.labels), kept)
        if self._pretrained is not None:
            body = {k: v for k, v in self._pretrained.state_dict().items() if not k.startswith("head.")}
            network.load_state_dict(body, strict=False)
        sample = functools.partial(_epoch_rows, kept, len(m.outliers), len(m.drawn), s)
        return self._fit(run, network, examples, sample, Schedule(s.epochs, s.batch_size, muon_lr=s.muon_lr))

    def answers(self, network: Network, rows: Rows) -> np.ndarray:
        return logits(network, _tensor(rows), self._device)

    def _new(self, classes: int, rows: Rows) -> Network:
        torch.manual_seed(self._settings.seed)
        network = Network(classes, WIDTHS[self._settings.architecture])
        sample = _tensor(rows)[:: max(1, len(rows) // 3000)]
        network.set_whitening(normalise(sample.float() / 255))
        return network

    def _checkpoint(self, run: str, schedule: Schedule) -> Path:
        """A file per run and cause: other data or hyperparameters never continue from it."""
        m, s = self._material, self._settings
        cause = f"{m.pretraining_digest} {s.architecture} {s.seed} {schedule}"
        if run != "pretrain":
            cause += f"{m.digest} {s}"
        return self._checkpoints / f"{run}-{hashlib.sha256(cause.encode()).hexdigest()[:12]}.pt"

    def _fit(
        self, run: str, network: Network, examples: Examples, sample: Any, schedule: Schedule
    ) -> Network:
        started = time.monotonic()
        with Progress(
            console=self._console, disable=not self._console.is_terminal, transient=True
        ) as progress:
            task = progress.add_task(run, total=schedule.epochs)

            def report(epoch: int, epochs: int, loss: float) -> None:
                progress.update(task, completed=epoch, description=f"{run} loss={loss:.4f}")
                if not self._console.is_terminal or epoch == epochs:
                    seconds = time.monotonic() - started
                    self._console.print(f"{run} epoch={epoch}/{epochs} loss={loss:.4f} seconds={seconds:.0f}")

            return fit(
                network,
                examples,
                sample,
                schedule,
                seed=self._settings.seed,
                device=self._device,
                checkpoint=self._checkpoint(run, schedule),
                report=report,
            )


def _tensor(rows: Rows) -> Tensor:
    return torch.from_numpy(rows.pixels).permute(0, 3, 1, 2).contiguous()


def _epoch_rows(real: Rows, outliers: int, drawn: int, settings: Settings, generator: Generator) -> Tensor:
    """All rows of the classes of interest and fresh samples of the others, shuffled."""
    neither = len(settings.interest)
    ours = torch.from_numpy(np.flatnonzero(real.truth < neither))
    near = torch.from_numpy(np.flatnonzero(real.truth == neither))
    far = torch.arange(outliers) + len(real)
    from_near = settings.neither_per_epoch if not outliers else settings.neither_per_epoch * 2 // 5
    parts = [
        ours,
        _some(near, from_near, generator),
        _some(far, settings.neither_per_epoch - from_near, generator),
        _some(torch.arange(drawn) + len(real) + outliers, settings.drawn_per_epoch, generator),
    ]
    rows = torch.cat(parts)
    return rows[torch.randperm(len(rows), generator=generator)]


def _some(rows: Tensor, count: int, generator: Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator)[:count]]


def load(source: Path, pretraining: Path | None, settings: Settings) -> Material:
    """Read and split everything.

    Raises:
        StageError, DataError: unreadable sources, no pictures, one class only, too few for the folds.
    """
    ours, outliers, foreign = data.split_rows(list(stage.read_pictures(source, "train")), settings.interest)
    real = data.joined([ours, outliers])
    try:
        test, _, test_foreign = data.split_rows(list(stage.read_pictures(source, "test")), settings.interest)
    except (stage.StageError, DataError):
        test = test_foreign = data.rows_of([], [])
    rows, classes = _pretraining_rows(pretraining)
    neither = np.full(len(rows), len(settings.interest), np.int64)
    return Material(
        real=real,
        folds=data.folds(real, settings.folds, settings.seed),
        outliers=Rows(rows.pixels, neither),
        drawn=data.drawn_rows(settings.interest, settings.drawn, data.DRAWN_SEEDS),
        pretraining=rows,
        pretraining_classes=classes,
        digest=data.digest(source) if pretraining is None else data.digest(source, pretraining),
        pretraining_digest=data.digest(pretraining) if pretraining else "",
        test=test,
        foreign=data.joined([foreign, test_foreign]),
    )


def _pretraining_rows(source: Path | None) -> tuple[Rows, int]:
    if source is None:
        return data.rows_of([], []), 0
    pictures = list(stage.read_pictures(source, "train"))
    names = sorted({p.label for p in pictures})
    return data.rows_of(pictures, [names.index(p.label) for p in pictures]), len(names)


def train(
    source: Path,
    pretraining: Path | None,
    folder: Path,
    checkpoints: Path,
    settings: Settings,
    console: Console,
) -> dict[str, Any]:
    """Train, calibrate and write model.onnx and model.json to `folder`; returns the description.

    Raises:
        StageError, DataError, TrainingError, ArtifactError: each with what to do; nothing is written then.
    """
    material = load(source, pretraining, settings)
    console.print(
        f"{len(material.real)} real, {len(material.outliers)} more foreign and {len(material.drawn)} drawn pictures;"
        f" checkpoints in {checkpoints}"
    )
    trainer = Trainer(settings, material, checkpoints, console)
    answers = trainer.out_of_fold()
    interest = len(settings.interest)
    temperature, threshold = judge.operating_point(answers, material.real.truth, interest)
    network = trainer.network("final", np.ones(len(material.real), bool))
    exported = to_onnx(network, stage.SIDE)
    probabilities = calibration.softmax(answers, temperature)

    def held(rows: Rows) -> dict[str, Any]:
        judged = calibration.softmax(trainer.answers(network, rows), temperature)
        return judge.figures(judged, rows.truth, threshold, trainer.labels)

    metrics: dict[str, Any] = {
        "cross_validation": judge.cross_fitted(answers, material.real.truth, material.folds, trainer.labels)
    }
    if len(material.test):
        metrics["test"] = held(material.test)
    if len(material.foreign):
        metrics["unseen_classes_refused"] = held(material.foreign)["neither_refused"]
    description = {
        "schema_version": artifact.SCHEMA_VERSION,
        "name": os.environ.get("TRAINING_JOB_NAME") or f"scones-{hashlib.sha256(exported).hexdigest()[:8]}",
        "labels": trainer.labels,
        "classes_of_interest": settings.interest,
        "input_size": stage.SIDE,
        "mean": list(MEAN),
        "std": list(STD),
        "temperature": temperature,
        "threshold": threshold,
        "baseline": judge.baseline(material.real, probabilities, threshold, trainer.labels),
        "metrics": metrics,
        "hyperparameters": dataclasses.asdict(settings),
        "data_sha256": material.digest,
        "commit": _commit(),
    }
    artifact.write(folder, description, exported)
    return description


def _commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="train", description="Train the model on labelled pictures.")
    parser.add_argument("--data", type=Path, default=os.environ.get("SM_CHANNEL_TRAINING"))
    parser.add_argument("--pretrain", type=Path, default=os.environ.get("SM_CHANNEL_PRETRAIN"))
    parser.add_argument("--model-dir", type=Path, default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--checkpoints", type=Path, help="a run that was cut off continues from here")
    given = json.loads(os.environ.get("SM_HPS", "{}"))
    for field in dataclasses.fields(Settings):
        name = f"--{field.name.replace('_', '-')}"
        choices = sorted(WIDTHS) if field.name == "architecture" else None
        value = given.get(field.name, given.get(field.name.replace("_", "-"), field.default))
        parser.add_argument(name, type=type(field.default), default=str(value), choices=choices)
    arguments = parser.parse_args(argv)
    for name in ("data", "model_dir"):
        if getattr(arguments, name) is None:
            parser.error(f"--{name.replace('_', '-')} is needed (in a job the environment names it)")
    return arguments


def _source(path: Path | None) -> Path | None:
    """A channel is a folder: take the archive in it, where there is one."""
    archives = sorted(path.glob("*.tar.*")) if path and path.is_dir() else []
    return archives[0] if archives else path


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    settings = Settings(**{f.name: getattr(arguments, f.name) for f in dataclasses.fields(Settings)})
    in_job = "SM_MODEL_DIR" in os.environ
    checkpoints = arguments.checkpoints or (
        JOB_CHECKPOINTS if in_job else arguments.model_dir / "checkpoints"
    )
    console = Console(soft_wrap=True)
    source = _source(arguments.data)
    assert source is not None
    try:
        description = train(
            source, _source(arguments.pretrain), arguments.model_dir, checkpoints, settings, console
        )
        packed = None if in_job else artifact.pack(arguments.model_dir)
    except (stage.StageError, DataError, TrainingError, artifact.ArtifactError, OSError) as error:
        print(f"training failed: {error}", file=sys.stderr)
        if in_job and FAILURE_FILE.parent.is_dir():
            FAILURE_FILE.write_text(str(error))
        return 1
    console.print_json(json.dumps(description["metrics"]))
    console.print(f"model {description['name']}: {packed or arguments.model_dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
