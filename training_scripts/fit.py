"""One training run: epochs, schedule, weight averaging, checkpoints."""

import copy
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from training_scripts.augment import augment
from training_scripts.muon import Muon
from training_scripts.network import Network

MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)


class TrainingError(Exception):
    """Training cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Schedule:
    """How long and how hard one run trains."""

    epochs: int
    batch_size: int
    muon_lr: float
    head_lr: float = 0.1
    smoothing: float = 0.1
    strength: float = 1.0
    averaging: float = 0.99


@dataclass(frozen=True)
class Examples:
    """Pictures uint8 [N, 3, S, S] and their target distributions float32 [N, classes]."""

    pixels: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.pixels)


EpochSample = Callable[[Generator], Tensor]
Report = Callable[[int, int, float], None]


def normalise(pixels: Tensor) -> Tensor:
    """Take float pixels in 0..1 to the network's input scale."""
    mean, std = (torch.tensor(v, device=pixels.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


def fit(
    network: Network,
    examples: Examples,
    sample: EpochSample,
    schedule: Schedule,
    *,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    report: Report,
) -> Network:
    """Train `network` and return the moving average of its weights, in evaluation mode.

    `sample` draws the row numbers of one epoch. The run continues from `checkpoint` if that file exists;
    each epoch has a random stream of its own, so a resumed run sees what an uninterrupted one sees.

    Raises:
        TrainingError: the loss is not finite.
    """
    network = network.to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    optimisers = _optimisers(network, schedule)
    begin = _resume(checkpoint, network, average, optimisers, device)
    for epoch in range(begin, schedule.epochs):
        generator = Generator().manual_seed(seed * 1_000_003 + epoch)
        loss = _epoch(
            network, average, optimisers, examples, sample(generator), schedule, epoch, generator, device
        )
        _save(checkpoint, epoch + 1, network, average, optimisers)
        report(epoch + 1, schedule.epochs, loss)
    return average.eval()


def _optimisers(network: Network, schedule: Schedule) -> list[torch.optim.Optimizer]:
    trained = [p for p in network.parameters() if p.requires_grad]
    filters = [p for p in trained if p.ndim == 4]
    others = [p for p in trained if p.ndim != 4]
    sgd = torch.optim.SGD(others, lr=schedule.head_lr, momentum=0.85, nesterov=True, weight_decay=1e-4)
    return [Muon(filters, lr=schedule.muon_lr), sgd]


def _epoch(
    network: Network,
    average: Network,
    optimisers: list[torch.optim.Optimizer],
    examples: Examples,
    rows: Tensor,
    schedule: Schedule,
    epoch: int,
    generator: Generator,
    device: torch.device,
) -> float:
    batches = max(1, len(rows) // schedule.batch_size)
    total = 0.0
    network.train()
    for number, batch in enumerate(rows.chunk(batches)):
        _set_rates(optimisers, schedule, (epoch + number / batches) / schedule.epochs)
        pixels = augment(examples.pixels[batch].to(device).float() / 255, schedule.strength, generator)
        loss = _step(
            network, optimisers, normalise(pixels), examples.targets[batch].to(device), schedule.smoothing
        )
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss} in epoch {epoch + 1}: lower --muon-lr or check the data"
            )
        steps = epoch * batches + number
        _follow(average, network, min(schedule.averaging, (1 + steps) / (10 + steps)))
        total += loss / batches
    return total


def _set_rates(optimisers: list[torch.optim.Optimizer], schedule: Schedule, progress: float) -> None:
    share = min(1.0, progress * 20 + 0.05) * 0.5 * (1 + math.cos(math.pi * progress))
    for optimiser, rate in zip(optimisers, (schedule.muon_lr, schedule.head_lr), strict=True):
        optimiser.param_groups[0]["lr"] = rate * share


def _step(
    network: Network,
    optimisers: list[torch.optim.Optimizer],
    pixels: Tensor,
    targets: Tensor,
    smoothing: float,
) -> float:
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=pixels.device.type != "mps"):
        logits = network(pixels)
    loss = F.cross_entropy(logits.float(), targets, label_smoothing=smoothing)
    network.zero_grad()
    loss.backward()
    for optimiser in optimisers:
        optimiser.step()
    return loss.item()


@torch.no_grad()
def _follow(average: Network, network: Network, decay: float) -> None:
    for slow, fast in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if slow.is_floating_point():
            slow.lerp_(fast, 1 - decay)


def _save(
    path: Path, epoch: int, network: Network, average: Network, optimisers: list[torch.optim.Optimizer]
) -> None:
    state = {
        "epoch": epoch,
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimisers": [optimiser.state_dict() for optimiser in optimisers],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def _resume(
    path: Path,
    network: Network,
    average: Network,
    optimisers: list[torch.optim.Optimizer],
    device: torch.device,
) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, map_location=device, weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(saved)
    return int(state["epoch"])


@torch.no_grad()
def logits(network: Network, pixels: Tensor, device: torch.device) -> np.ndarray:
    """Mean logits of pictures uint8 [N, 3, S, S] and their mirror images: float32 [N, classes]."""
    network.eval()
    parts = []
    for batch in pixels.split(500):
        straight = normalise(batch.to(device).float() / 255)
        parts.append((network(straight) + network(straight.flip(3))) / 2)
    return torch.cat(parts).float().cpu().numpy()
