"""What a training is told. Needs no PyTorch."""

from dataclasses import dataclass
from pathlib import Path

WIDTHS = {"small": (48, 96, 192), "wide": (64, 128, 256)}
# A frozen network and a head that is fitted to its features: training_scripts.quick.
QUICK = "lite0"
ARCHITECTURES = (QUICK, *WIDTHS)


@dataclass(frozen=True)
class Settings:
    """The hyperparameters of one training; everything that, with the data, determines the model."""

    classes: str = "bicycle,motorcycle"
    architecture: str = "small"
    epochs: int = 50
    pretrain_epochs: int = 8
    batch_size: int = 125
    muon_lr: float = 0.05
    strength: float = 0.8
    damage: float = 0.8
    neither_per_epoch: int = 300
    drawn_per_epoch: int = 80
    drawn: int = 1600
    folds: int = 5
    seed: int = 0

    @property
    def interest(self) -> list[str]:
        return [name.strip() for name in self.classes.split(",") if name.strip()]


@dataclass(frozen=True)
class Sources:
    """Where the pictures come from: archives or folders."""

    data: Path
    pretraining: Path | None
    reviewed: Path | None = None
