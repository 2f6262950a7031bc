"""Learning from a folder without a training job."""

from pathlib import Path

import pytest

from scripts.models import learning
from scripts.models.training_jobs import ToolsMissing
from training_scripts import artifact
from training_scripts.synthetic import generator


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label in ("bicycle", "motorcycle", "neither"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for seed in range(6):
            drawn = generator.draw("other" if label == "neither" else label, seed, 96)
            drawn.save(tmp_path / "pictures" / label / f"{seed}.jpg")
    return tmp_path / "pictures"


def test_every_folder_but_neither_is_a_class(folder: Path) -> None:
    assert learning.classes_of(folder) == ["bicycle", "motorcycle"]


def test_what_was_learnt_is_an_artifact(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: make setup-quick")
    pytest.importorskip("onnx", reason="onnx is not installed: make setup-quick")
    description, _ = artifact.read_archive(learning.learn(folder, tmp_path / "model"))
    assert description["labels"] == ["bicycle", "motorcycle", "neither"]


def test_a_missing_package_says_how_to_install_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning.sys, "executable", "/usr/bin/false")
    with pytest.raises(ToolsMissing, match="run `make setup-quick`"):
        learning.learn(folder, tmp_path / "model")
