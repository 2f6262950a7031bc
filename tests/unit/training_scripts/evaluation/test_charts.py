"""The picture of the risk-coverage curve, from what model.json says."""

from pathlib import Path

import pytest
from PIL import Image

from training_scripts import artifact, evaluate
from training_scripts.evaluation import charts

SHIPPED = Path(__file__).resolve().parents[4] / "training_scripts" / "model" / "model.tar.gz"
CURVE = [[0.99, 0.1, 1.0], [0.95, 0.5, 1.0], [0.88, 0.8, 0.99], [0.6, 1.0, 0.93]]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    description, network = artifact.read_archive(SHIPPED)
    chosen = {"coverage": {"value": 0.8}, "accepted_accuracy": {"value": 0.99}}
    metrics = description["metrics"] | {"cross_validation": chosen}
    more = {"risk_coverage": CURVE, "threshold": 0.88, "metrics": metrics}
    artifact.write(tmp_path, description | more, network)
    return artifact.pack(tmp_path)


def test_the_curve_is_drawn_with_the_thresholds_place_on_it(archive):
    description, _ = artifact.read_archive(archive)

    (axes,) = charts.cross_validated(description).axes
    curve, _, place = axes.lines

    assert list(curve.get_xdata()) == [0.5, 0.8, 1.0]
    assert list(curve.get_ydata()) == pytest.approx([0, 1, 7])
    assert (list(place.get_xdata()), list(place.get_ydata())) == ([0.8], pytest.approx([1]))
    assert "threshold 0.880" in place.get_label()


def test_the_command_writes_a_picture(archive, tmp_path):
    assert evaluate.main([str(archive), "--risk-coverage", str(tmp_path / "new" / "curve.png")]) == 0

    with Image.open(tmp_path / "new" / "curve.png") as picture:
        assert picture.width > 600


def test_an_artifact_without_a_curve_is_a_clear_error(archive, tmp_path, capsys):
    description, network = artifact.read_archive(archive)
    del description["risk_coverage"]
    artifact.write(tmp_path, description, network)

    assert evaluate.main([str(artifact.pack(tmp_path)), "--risk-coverage", str(tmp_path / "curve.png")]) == 1

    assert "has no risk_coverage" in capsys.readouterr().err


def test_without_pictures_and_curve_there_is_nothing_to_do(archive, capsys):
    with pytest.raises(SystemExit):
        evaluate.main([str(archive)])

    assert "name the source of the pictures" in capsys.readouterr().err
