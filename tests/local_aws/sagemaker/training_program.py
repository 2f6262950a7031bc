"""A training program for the contract tests: does what its hyperparameter `does` says, with no library but Python's."""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--does", default="train")
parser.add_argument("--epochs", type=int, default=1)
arguments, _ = parser.parse_known_args()
base, model = Path(os.environ["SAGEMAKER_BASE_DIR"]), Path(os.environ["SM_MODEL_DIR"])
checkpoint = base / "checkpoints" / "epochs"


def save(*_: object) -> None:
    (model / "weights").write_text("saved in time")
    sys.exit(0)


for epoch in range(arguments.epochs):
    print(f"epoch={epoch + 1} loss={1 / (epoch + 1):.4f};")

match arguments.does:
    case "train":
        done = int(checkpoint.read_text()) if checkpoint.exists() else 0
        checkpoint.write_text(str(done + arguments.epochs))
        seen = {
            "argv": sys.argv,
            "cwd": str(Path.cwd()),
            "epochs_before": done,
            "variables": {
                n: v for n, v in os.environ.items() if n.startswith(("SM_", "TRAINING_JOB", "OWN"))
            },
            "hyperparameters": json.loads((base / "input/config/hyperparameters.json").read_text()),
            "channels": json.loads((base / "input/config/inputdataconfig.json").read_text()),
            "files": {
                str(path.relative_to(base / "input/data")): path.read_text()
                for path in sorted((base / "input/data").rglob("*"))
                if path.is_file()
            },
        }
        (model / "weights").write_text(json.dumps(seen))
        Path(os.environ["SM_OUTPUT_DATA_DIR"], "curve.csv").write_text("1,2")
    case "fail":
        (model / "half").write_text("half a model")
        print("the loss became nan", file=sys.stderr)
        sys.exit(3)
    case "explain":
        (base / "output" / "failure").write_text("only one class in the data")
        sys.exit(1)
    case "hang":
        (model / "half").write_text("half a model")
        print("waiting")
        time.sleep(600)
    case "save-when-stopped":
        signal.signal(signal.SIGTERM, save)
        print("waiting")
        time.sleep(600)
    case "ignore-sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("waiting")
        time.sleep(600)
    case "fill-disk":
        Path("/dev/full").write_text("x" * 100_000)
    case "leave-no-room":
        # A device that is always full takes the place of the archive.
        (model / "weights").write_text("trained")
        (base / "output" / "model.tar.gz").symlink_to("/dev/full")
