"""From a folder of photographs to an artifact that the serving program answers with: staged, learnt, evaluated."""

import io
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: make setup-quick")
pytest.importorskip("onnx", reason="onnx is not installed: make setup-quick")

from training_scripts import artifact, evaluate, train
from training_scripts.data import staging, stores
from training_scripts.quick import backbone, trainer
from training_scripts.synthetic import generator
from training_scripts.terminal import Terminal
from training_scripts.training import operating_point
from training_scripts.training.operating_point import OperatingPoint
from training_scripts.training.settings import Settings, Sources

CLASSES = ["bicycle", "motorcycle"]
EACH = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn pictures of two classes and of other things, larger than the network's input."""
    root = tmp_path_factory.mktemp("photographs")
    for label in (*CLASSES, "other"):
        (root / label).mkdir()
        for seed in range(EACH):
            generator.draw(label, seed, 256).save(root / label / f"{seed}.jpg", quality=90)
    return root


@pytest.fixture(scope="module")
def staged(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("staged")
    staging.stage_pictures(
        [folder], CLASSES, stores.Folder(place), neither=100, side=backbone.SIDE, progress=lambda *_: None
    )
    return place


@pytest.fixture(scope="module")
def learnt(staged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("model")
    assert train.main(["--architecture", "lite0", "--data", str(staged), "--model-dir", str(made)]) == 0
    return made / "model.tar.gz"


def test_the_artifact_says_what_it_needs(learnt: Path, staged: Path) -> None:
    description, network = artifact.read_archive(learnt)
    assert description["labels"] == [*CLASSES, "neither"]
    assert (description["input_size"], description["mirrored"]) == (224, False)
    assert description["metrics"]["cross_validation"]["accuracy"]["value"] > 0.9
    assert json.loads((staged / "manifest.json").read_text())["input_size"] == 224
    assert len(network) < artifact.LARGEST


def test_the_serving_program_answers_with_it(learnt: Path, staged: Path) -> None:
    figures = evaluate.evaluate(learnt, staged, "test", drawn=20)
    assert figures["accuracy"]["value"] > 0.7
    assert figures["drawn"]["other"]["refused"]["value"] > 0.7


def test_the_network_answers_at_its_operating_point(staged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operating point takes from the logit of "neither" is taken in the network, too."""
    sources, settings = Sources(staged, None), Settings(classes=",".join(CLASSES), architecture="lite0")
    pixels = np.zeros((1, 3, backbone.SIDE, backbone.SIDE), np.float32)
    answers = []
    for shift in (0.0, 1.5):
        point = OperatingPoint(shift, 1.0, 0.5)
        monkeypatch.setattr(operating_point, "operating_point", lambda *_, point=point: point)
        _, network = trainer.train(sources, settings, Terminal(quiet=True))
        session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
        answers.append(session.run(["logits"], {"pixels": pixels})[0][0])
    assert answers[0] - answers[1] == pytest.approx([0, 0, 1.5], abs=1e-4)


def test_the_same_pictures_give_the_same_artifact(learnt: Path, staged: Path, tmp_path: Path) -> None:
    assert train.main(["--architecture", "lite0", "--data", str(staged), "--model-dir", str(tmp_path)]) == 0
    assert (tmp_path / "model.tar.gz").read_bytes() == learnt.read_bytes()


def test_pictures_to_pretrain_on_are_refused(
    staged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--architecture", "lite0", "--data", str(staged), "--pretrain", str(staged)]
    assert train.main([*words, "--model-dir", str(tmp_path / "model")]) == 1
    assert "lite0 is pretrained: leave --pretrain out" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_a_full_disk_leaves_no_half_artifact(
    staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert train.main(["--architecture", "lite0", "--data", str(staged), "--model-dir", str(tmp_path)]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_archive_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = tmp_path / "pictures.tar.gz"
    archive.write_bytes(io.BytesIO().getvalue())
    assert train.main(["--architecture", "lite0", "--data", str(archive), "--model-dir", str(tmp_path)]) == 1
    assert "no such folder; give one that holds a folder for each class" in capsys.readouterr().err
