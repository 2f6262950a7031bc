"""The runs of one training: pretraining, one run per fold, and the final one."""

import functools
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import Generator, Tensor

from training_scripts.data import dataset
from training_scripts.data.dataset import AMBIGUOUS, NEITHER, LabelledImages
from training_scripts.terminal import Terminal
from training_scripts.training.loop import Schedule, TrainingInput, TrainingRun, logits, normalise
from training_scripts.training.network import Network
from training_scripts.training.settings import WIDTHS, Settings

_SMOOTHING = 0.1
_PRETRAINING_BATCH = 250
_PRETRAINING_LR = 0.1
_PRETRAINING_STRENGTH = 0.4
_PRETRAINING_DAMAGE = 0.4
_PRETRAINING_COARSE = 0.5
# Patches of 2 x 2 pixels look much the same in all pictures: any few thousand will do.
_WHITENING_SAMPLE = 3000
# Of the pictures of "neither" in an epoch: from the archive itself, where there are others beside it.
_SHARE_FROM_ARCHIVE = 0.4


@dataclass(frozen=True)
class Material:
    """All that one training sees: real rows with folds, drawn rows, and rows that only judge.

    The pretraining rows, numbered by their own classes, are kinds of "neither" afterwards.
    """

    real: LabelledImages
    folds: np.ndarray
    drawn: LabelledImages
    pretraining: LabelledImages
    pretraining_classes: int
    digest: str
    pretraining_digest: str
    test: LabelledImages
    foreign: LabelledImages


class Trainer:
    """Runs the stages of one training and shows their progress."""

    def __init__(self, settings: Settings, material: Material, checkpoints: Path, console: Terminal) -> None:
        self._settings, self._material = settings, material
        self._checkpoints, self._console = checkpoints, console
        self.labels = [*settings.interest, NEITHER]
        self._device = torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )

    def out_of_fold(self, used: Sequence[int] | None = None) -> np.ndarray:
        """Logits [N, classes] of every real row, each from a network that did not see its fold.

        Rows of folds that are not `used` (default: all are) get zeros.
        """
        real = self._material.real
        answers = np.zeros((len(real), len(self.labels)), np.float32)
        for fold in range(self._settings.folds) if used is None else used:
            held_out = self._material.folds == fold
            network = self.network(f"fold-{fold}", ~held_out)
            answers[held_out] = self.answers(network, real.subset(held_out))
        return answers

    def network(self, run: str, used: np.ndarray) -> Network:
        """Train one network on the chosen real rows [N] (bool), the drawn rows and the pretraining rows."""
        m, s = self._material, self._settings
        kept, labels = m.real.subset(used), len(self.labels)
        # what lies between the classes of interest is a kind of "neither", after those of the pretraining
        kinds = m.pretraining_classes + int((m.drawn.truth == AMBIGUOUS).any())
        rows = dataset.concatenate(
            [kept, m.drawn, LabelledImages(m.pretraining.pixels, m.pretraining.truth + labels)]
        )
        network = self._new(labels, kept, kinds)
        if m.pretraining_classes:
            network.adopt(self._pretrained())
        targets = torch.from_numpy(dataset.targets(rows.truth, labels, kinds, _SMOOTHING))
        sample = functools.partial(_epoch_rows, kept, len(m.drawn), len(m.pretraining), s)
        schedule = Schedule(s.epochs, s.batch_size, s.muon_lr, strength=s.strength, damage=s.damage)
        return self._run(run, network, TrainingInput(_tensor(rows), targets, sample, schedule, s.seed))

    def answers(self, network: Network, rows: LabelledImages) -> np.ndarray:
        """Logits [N, classes], the mean over each picture and its mirror image."""
        return logits(network, _tensor(rows), self._device)

    @functools.cache  # noqa: B019 - a trainer lives as long as its program
    def _pretrained(self) -> Network:
        rows, classes = self._material.pretraining, self._material.pretraining_classes
        targets = torch.from_numpy(dataset.targets(rows.truth, classes, 0, _SMOOTHING))
        schedule = Schedule(
            self._settings.pretrain_epochs,
            _PRETRAINING_BATCH,
            muon_lr=_PRETRAINING_LR,
            strength=_PRETRAINING_STRENGTH,
            damage=_PRETRAINING_DAMAGE,
            coarse=_PRETRAINING_COARSE,
        )
        sample = functools.partial(_shuffled, len(rows))
        data = TrainingInput(_tensor(rows), targets, sample, schedule, self._settings.seed)
        return self._run(f"pretrain-{self._settings.architecture}", self._new(classes, rows, 0), data)

    def _new(self, labels: int, rows: LabelledImages, kinds: int) -> Network:
        torch.manual_seed(self._settings.seed)
        network = Network(labels, WIDTHS[self._settings.architecture], kinds)
        network.set_whitening(normalise(_tensor(rows)[:_WHITENING_SAMPLE].float() / 255))
        return network

    def _checkpoint(self, run: str, schedule: Schedule) -> Path:
        """A file per run and cause: other data or hyperparameters never continue from it."""
        m, s = self._material, self._settings
        cause = f"{m.pretraining_digest} {s.seed} {schedule}"
        if not run.startswith("pretrain"):
            cause += f"{m.digest} {s}"
        return self._checkpoints / f"{run}-{hashlib.sha256(cause.encode()).hexdigest()[:12]}.pt"

    def _run(self, name: str, network: Network, data: TrainingInput) -> Network:
        run = TrainingRun(network, data, self._device)
        quiet = not self._console.is_terminal
        with Progress(console=self._console, disable=quiet, transient=True) as progress:
            report = self._reporter(name, data.schedule.epochs, progress)
            return run.train(self._checkpoint(name, data.schedule), report)

    def _reporter(self, name: str, epochs: int, progress: Progress) -> Callable[[int, float], None]:
        task, started = progress.add_task(name, total=epochs), time.monotonic()

        def report(epoch: int, loss: float) -> None:
            progress.update(task, completed=epoch, description=f"{name} loss={loss:.4f}")
            if epoch == epochs or not self._console.is_terminal:
                seconds = time.monotonic() - started
                self._console.print(f"{name} epoch={epoch}/{epochs} loss={loss:.4f} seconds={seconds:.0f}")

        return report


def _tensor(rows: LabelledImages) -> Tensor:
    return torch.from_numpy(rows.pixels).permute(0, 3, 1, 2).contiguous()


def _epoch_rows(
    real: LabelledImages, drawn: int, outliers: int, settings: Settings, generator: Generator
) -> Tensor:
    """All rows of the classes of interest and fresh samples of the others, shuffled."""
    neither = len(settings.interest)
    ours = torch.from_numpy(np.flatnonzero(real.truth < neither))
    near = torch.from_numpy(np.flatnonzero(real.truth == neither))
    far = torch.arange(outliers) + len(real) + drawn
    from_near = round(settings.neither_per_epoch * (_SHARE_FROM_ARCHIVE if outliers else 1.0))
    parts = [
        ours,
        _some(near, from_near, generator),
        _some(far, settings.neither_per_epoch - from_near, generator),
        _some(torch.arange(drawn) + len(real), settings.drawn_per_epoch, generator),
    ]
    rows = torch.cat(parts)
    return rows[_shuffled(len(rows), generator)]


def _some(rows: Tensor, count: int, generator: Generator) -> Tensor:
    return rows[_shuffled(len(rows), generator)[:count]]


def _shuffled(count: int, generator: Generator) -> Tensor:
    return torch.randperm(count, generator=generator)
