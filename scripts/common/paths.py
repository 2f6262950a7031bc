"""Places in the repository that more than one package uses."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TERRAFORM = ROOT / "terraform"
WORK = ROOT / ".scones"
SHIPPED_MODEL = ROOT / "training_scripts" / "model" / "model.tar.gz"
