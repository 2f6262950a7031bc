"""The composed ONNX file answers as backbone and head do in NumPy."""

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: make setup-train")
pytest.importorskip("onnx", reason="onnx is not installed: make setup-train")

from training_scripts.quick import backbone, head
from training_scripts.quick.network import compose
from training_scripts.synthetic import generator


def drawn(label: str, seed: int) -> np.ndarray:
    return np.asarray(generator.draw(label, seed, 224))


@pytest.mark.parametrize("classes", [("bicycle", "motorcycle"), ("bicycle", "motorcycle", "other")])
def test_one_file_answers_as_its_parts(classes: tuple[str, ...]) -> None:
    network = backbone.Backbone()
    features = np.stack([network.features(drawn(label, seed)) for label in classes for seed in range(5)])
    truth = np.repeat(np.arange(len(classes)), 5)
    fitted, _ = head.fit(features, truth, np.arange(len(truth)) % 5, len(classes))
    unseen = [drawn(label, seed) for label in (*classes, "ambiguous") for seed in (100, 101)]

    session = onnxruntime.InferenceSession(compose(fitted), providers=["CPUExecutionProvider"])
    scaled = (np.stack(unseen).astype(np.float32) / 255 - backbone.MEAN[0]) / backbone.STD[0]
    answers = session.run(["logits"], {"pixels": scaled.transpose(0, 3, 1, 2).astype(np.float32)})[0]

    expected = fitted.logits(np.stack([network.features(pixels) for pixels in unseen]))
    assert answers.shape == (len(unseen), len(classes) + 1)
    # the stored features have 16 bits in the file
    assert np.abs(answers - expected).max() < 0.05
