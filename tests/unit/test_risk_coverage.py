"""The picture of the risk-coverage curve, from what model.json says."""

from pathlib import Path

import pytest
from PIL import Image

from training_scripts import artifact, risk_coverage

SHIPPED = Path(__file__).resolve().parents[2] / "training_scripts" / "model" / "model.tar.gz"


def test_the_curve_is_drawn_from_the_artifact_with_its_threshold_marked(tmp_path):
    assert risk_coverage.main([str(SHIPPED), str(tmp_path / "new" / "curve.png")]) == 0

    with Image.open(tmp_path / "new" / "curve.png") as picture:
        assert picture.width > 600
    description, _ = artifact.read_archive(SHIPPED)
    (axes,) = risk_coverage.figure(description).axes
    assert f"{description['threshold']:.3f}" in axes.get_legend().get_texts()[2].get_text()
    assert axes.lines[2].get_xdata() == pytest.approx(
        [description["metrics"]["cross_validation"]["coverage"]["value"]]
    )


def test_the_shipped_threshold_lies_on_the_shipped_curve():
    description, _ = artifact.read_archive(SHIPPED)
    chosen = description["metrics"]["cross_validation"]

    near = [
        accuracy
        for _, coverage, accuracy in description["risk_coverage"]
        if abs(coverage - chosen["coverage"]["value"]) < 0.02
    ]

    assert near
    assert min(near) - 0.01 <= chosen["accepted_accuracy"]["value"] <= max(near) + 0.01


def test_an_artifact_without_a_curve_is_a_clear_error(tmp_path, capsys):
    description, network = artifact.read_archive(SHIPPED)
    del description["risk_coverage"]
    artifact.write(tmp_path, description, network)

    assert risk_coverage.main([str(artifact.pack(tmp_path)), str(tmp_path / "curve.png")]) == 1

    assert "has no risk_coverage" in capsys.readouterr().err
