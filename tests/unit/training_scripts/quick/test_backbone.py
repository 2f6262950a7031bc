"""The pinned file of the backbone, and what stands in the way of another."""

import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from training_scripts.quick import backbone
from training_scripts.synthetic import generator


def test_the_shipped_file_is_the_pinned_one() -> None:
    assert len(backbone.content()) < 7_000_000


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "lite0.onnx"
    other.write_bytes(backbone.content() + b" ")
    monkeypatch.setattr(backbone, "FILE", other)
    with pytest.raises(backbone.BackboneError, match=r"is not the file with SHA-256 .* git checkout"):
        backbone.Backbone()


def test_a_missing_file_says_how_to_get_it_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(backbone, "FILE", tmp_path / "lite0.onnx")
    with pytest.raises(backbone.BackboneError, match=r"cannot be read .* git checkout"):
        backbone.Backbone()


def test_pictures_of_one_kind_are_near_each_other() -> None:
    network = backbone.Backbone()
    features = np.stack(
        [
            network.features(np.asarray(generator.draw(kind, seed, 224)))
            for kind in ("bicycle", "motorcycle")
            for seed in range(6)
        ]
    )
    assert features.shape == (12, backbone.FEATURES)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    likeness = unit @ unit.T
    same = np.kron(np.eye(2), np.ones((6, 6))).astype(bool) & ~np.eye(12, dtype=bool)
    different = ~np.kron(np.eye(2), np.ones((6, 6))).astype(bool)
    assert likeness[same].mean() > likeness[different].mean() + 0.05


def test_a_file_of_weights_cannot_run_code() -> None:
    convert = pytest.importorskip(
        "training_scripts.quick.convert", reason="onnx is not installed: make setup-train"
    )

    class Harmful:
        def __reduce__(self) -> tuple:
            return print, ("harm",)

    content = io.BytesIO()
    for part in (1, 2, {}, Harmful(), []):
        pickle.dump(part, content)
    with pytest.raises(pickle.UnpicklingError, match=r"needs no builtins\.print"):
        convert.read_weights(content.getvalue())
