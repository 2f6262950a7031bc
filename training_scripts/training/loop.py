"""One training run: epochs, schedule, weight averaging, checkpoints."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from training_scripts.errors import UserError
from training_scripts.training.augmentation import augment
from training_scripts.training.muon import Muon
from training_scripts.training.network import Network

MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)
# Share of a run in which the rates rise to their full height.
_WARM_UP = 0.05
_COARSE_SIDE = 24


class TrainingError(UserError):
    """Training cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Schedule:
    """How long and how hard one run trains."""

    epochs: int
    batch_size: int
    muon_lr: float
    head_lr: float = 0.1
    strength: float = 1.0
    damage: float = 1.0
    # share of the epochs, the first ones, that see smaller pictures: about half the time of whole ones
    coarse: float = 0.0
    averaging: float = 0.99


@dataclass(frozen=True)
class TrainingInput:
    """What one run trains on.

    pixels: uint8 [N, 3, S, S]. targets: float32 [N, labels + kinds], distributions. sample: draws the row numbers
    of one epoch. seed: each epoch has a random stream of its own, so a resumed run sees what another one sees.
    """

    pixels: Tensor
    targets: Tensor
    sample: Callable[[Generator], Tensor]
    schedule: Schedule
    seed: int


class TrainingRun:
    """A network in training with the moving average of its weights, which is what the run is for."""

    def __init__(self, network: Network, data: TrainingInput, device: torch.device) -> None:
        self._network = network.to(device, memory_format=torch.channels_last)
        self._average = copy.deepcopy(self._network).eval()
        self._input, self._device, self._epochs_done = data, device, 0
        trained = [p for p in network.parameters() if p.requires_grad]
        others = [p for p in trained if p.ndim != 4]
        self._optimisers: list[torch.optim.Optimizer] = [
            Muon((p for p in trained if p.ndim == 4), lr=data.schedule.muon_lr),
            torch.optim.SGD(others, data.schedule.head_lr, momentum=0.85, nesterov=True, weight_decay=1e-4),
        ]

    def train(self, checkpoint: Path, report: Callable[[int, float], None]) -> Network:
        """Continue from the checkpoint, where that file exists, to the end; `report` gets (epochs done, loss).

        Raises:
            TrainingError: the loss is not finite.
        """
        if checkpoint.exists():
            self._load(torch.load(checkpoint, map_location=self._device, weights_only=True))
        for epoch in range(self._epochs_done, self._input.schedule.epochs):
            loss = self._epoch(epoch)
            self._epochs_done = epoch + 1
            _save(self._state(), checkpoint)
            report(self._epochs_done, loss)
        return self._average.eval()

    def _epoch(self, epoch: int) -> float:
        data, schedule = self._input, self._input.schedule
        generator = Generator().manual_seed(data.seed * 1_000_003 + epoch)
        rows = data.sample(generator)
        batches = max(1, len(rows) // schedule.batch_size)
        total = 0.0
        self._network.train()
        for number, batch in enumerate(rows.chunk(batches)):
            steps = epoch * batches + number
            self._set_rates(steps / batches / schedule.epochs)
            pixels = data.pixels[batch].to(self._device).float() / 255
            pixels = augment(pixels, schedule.strength, schedule.damage, generator)
            if epoch < schedule.coarse * schedule.epochs:
                pixels = functional.interpolate(
                    pixels, size=(_COARSE_SIDE,) * 2, mode="bilinear", antialias=True
                )
            loss = self._step(pixels, data.targets[batch])
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss} in epoch {epoch + 1}: lower muon_lr or check the data"
                )
            self._update_average(min(schedule.averaging, (1 + steps) / (10 + steps)))
            total += loss / batches
        return total

    def _set_rates(self, progress: float) -> None:
        share = min(1.0, progress / _WARM_UP + 0.05) * 0.5 * (1 + math.cos(math.pi * progress))
        schedule = self._input.schedule
        for optimiser, rate in zip(self._optimisers, (schedule.muon_lr, schedule.head_lr), strict=True):
            optimiser.param_groups[0]["lr"] = rate * share

    def _step(self, pixels: Tensor, targets: Tensor) -> float:
        pixels, targets = normalise(pixels), targets.to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type != "mps"):
            answers = self._network.fine(pixels)
        loss = functional.cross_entropy(answers.float(), targets)
        self._network.zero_grad()
        loss.backward()
        for optimiser in self._optimisers:
            optimiser.step()
        return loss.item()

    @torch.no_grad()
    def _update_average(self, decay: float) -> None:
        pairs = zip(self._average.state_dict().values(), self._network.state_dict().values(), strict=True)
        for slow, fast in pairs:
            if slow.is_floating_point():
                slow.lerp_(fast, 1 - decay)

    def _state(self) -> dict[str, Any]:
        return {
            "epoch": self._epochs_done,
            "network": self._network.state_dict(),
            "average": self._average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
        }

    def _load(self, state: dict[str, Any]) -> None:
        self._epochs_done = state["epoch"]
        self._network.load_state_dict(state["network"])
        self._average.load_state_dict(state["average"])
        for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)


def normalise(pixels: Tensor) -> Tensor:
    """Take float pixels in 0..1 to the network's input scale."""
    mean, std = (torch.tensor(v, device=pixels.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def logits(network: Network, pixels: Tensor, device: torch.device) -> np.ndarray:
    """Mean logits of pictures uint8 [N, 3, S, S] and their mirror images: float32 [N, classes]."""
    network.eval()
    parts = []
    for batch in pixels.split(500):
        straight = normalise(batch.to(device).float() / 255)
        parts.append((network(straight) + network(straight.flip(3))) / 2)
    return torch.cat(parts).float().cpu().numpy()


def _save(state: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
