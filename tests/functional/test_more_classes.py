"""Other classes from two archives go through stage, train, serve and the decision without a line of code changed.

Training needs PyTorch: here, or in the interpreter that SCONES_TRAINING_PYTHON names.
"""

import json
import os
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from functions.common import telemetry
from functions.common.errors import ThresholdConfidenceNotMet
from functions.filter_inferences.handler import lambda_handler
from training_scripts import artifact, evaluate
from training_scripts.data import readers, staging, stores
from training_scripts.evaluation import serving_client

ROOT = Path(__file__).resolve().parents[2]
FROM_CIFAR_100 = ("bicycle", "motorcycle", "bus", "pickup_truck")
FROM_CIFAR_10 = ("automobile", "truck")
OTHERS = ("apple", "bed", "castle", "dolphin")
OF_EACH = 12
# Enough to run every step, not to learn much.
SHORT = {
    "epochs": 2,
    "folds": 2,
    "drawn": 20,
    "drawn_per_epoch": 10,
    "neither_per_epoch": 6,
    "batch_size": 20,
}


@pytest.fixture(scope="module")
def python() -> str:
    interpreter = os.environ.get("SCONES_TRAINING_PYTHON") or sys.executable
    if subprocess.run([interpreter, "-c", "import torch"], capture_output=True, check=False).returncode:
        pytest.skip("PyTorch is not installed: make setup-train, or name an interpreter that has it")
    return interpreter


@pytest.fixture(scope="module")
def sources(shared_data, tmp_path_factory) -> list[Path]:
    """A few pictures of each class: from CIFAR-100 as a folder, from CIFAR-10 as an archive of JPEG files."""
    folder = tmp_path_factory.mktemp("sources")
    counts: Counter[tuple[str, str]] = Counter()
    for split in ("train", "test"):
        for picture in readers.read_pictures(shared_data / "cifar-100-python.tar.gz", split):
            counts[split, picture.label] += 1
            if picture.label in FROM_CIFAR_100 + OTHERS and counts[split, picture.label] <= OF_EACH:
                place = folder / "cifar-100" / split / picture.label
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture.pixels).save(place / picture.filename)
    with (
        tarfile.open(shared_data / "cifar-10-jpeg.tar.xz") as whole,
        tarfile.open(folder / "cifar-10.tar.gz", "w:gz") as few,
    ):
        for member in whole:
            split, label = (*Path(member.name).parts, "", "")[1:3]
            counts[f"10 {split}", label] += member.isreg()
            if member.isreg() and label in FROM_CIFAR_10 and counts[f"10 {split}", label] <= OF_EACH:
                few.addfile(member, whole.extractfile(member))
    return [folder / "cifar-100", folder / "cifar-10.tar.gz"]


@pytest.fixture(scope="module")
def staged(sources, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("staged")
    classes = [*FROM_CIFAR_100, *FROM_CIFAR_10]
    staging.stage_pictures(sources, classes, stores.Folder(folder), neither=40, progress=lambda *_: None)
    return folder


@pytest.fixture(scope="module")
def trained(python, staged, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    command = [python, "-m", "training_scripts.train", "--data", str(staged), "--model-dir", str(folder)]
    command += ["--classes", ",".join([*FROM_CIFAR_100, *FROM_CIFAR_10])]
    command += [word for name, value in SHORT.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "model.tar.gz"


def test_six_classes_of_two_archives_are_staged(staged):
    """`neither` is the seventh."""
    rows = json.loads((staged / staging.MANIFEST).read_text())["pictures"]

    per_class = defaultdict(int)
    for row in rows:
        per_class[row["label"]] += row["split"] == "train"
    assert set(per_class) == {*FROM_CIFAR_100, *FROM_CIFAR_10, "neither"}
    assert per_class["automobile"] == per_class["bicycle"] == OF_EACH


@pytest.mark.slow
def test_the_artifact_knows_the_classes_in_the_order_asked_for(trained):
    description, _ = artifact.read_archive(trained)

    assert description["labels"] == [*FROM_CIFAR_100, *FROM_CIFAR_10, "neither"]
    assert description["classes_of_interest"] == [*FROM_CIFAR_100, *FROM_CIFAR_10]


@pytest.mark.slow
def test_serving_and_workflow_use_the_published_labels(trained, staged, tmp_path, monkeypatch):
    description, _ = artifact.read_archive(trained)
    picture = next(p for p in readers.read_pictures(staged, "test") if p.label == "truck")
    with serving_client.serving_archive(trained) as (port, _):
        (probabilities,) = serving_client.ask(port, [picture.pixels]).tolist()
    assert len(probabilities) == 7

    # what Terraform hands to the function, with a threshold low enough for a model that has learnt little
    monkeypatch.setenv("LABELS", json.dumps(description["labels"]))
    monkeypatch.setenv("CLASSES_OF_INTEREST", json.dumps(description["classes_of_interest"]))
    monkeypatch.setenv("THRESHOLDS", json.dumps({description["name"]: 0.01}))
    monkeypatch.setattr(telemetry.metrics.provider, "namespace", "scones-test")

    best = description["labels"][max(range(7), key=probabilities.__getitem__)]
    context = SimpleNamespace(aws_request_id="one")
    answer = {"inferences": probabilities, "model": description["name"]}
    if best == "neither":
        with pytest.raises(ThresholdConfidenceNotMet, match="neither"):
            lambda_handler(answer, context)
    else:
        assert lambda_handler(answer, context)["label"] == best


@pytest.mark.slow
def test_it_is_judged_on_all_its_classes(trained, staged):
    figures = evaluate.evaluate(trained, staged, "test")

    assert set(figures["classes"]) == {*FROM_CIFAR_100, *FROM_CIFAR_10}
