"""Judging an artifact by asking the serving program, and what the shipped one must reach."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from scripts.cli.app import app
from tests.functional.conftest import SHIPPED
from training_scripts import artifact, evaluate
from training_scripts.data import staging, stores
from training_scripts.evaluation import serving_client, test_set
from training_scripts.evaluation.predictions import OUT_OF_DISTRIBUTION, Predictions
from training_scripts.evaluation.serving_client import ServingFailed


@pytest.fixture(scope="module")
def figures(folder_of_drawings):
    return evaluate.evaluate(SHIPPED, folder_of_drawings, "train", drawn=5)


def test_every_figure_has_its_interval_and_sample_size(figures):
    assert figures["accuracy"]["count"] == 40
    assert figures["foreign_refused"]["all"]["count"] == 20
    assert figures["accuracy"]["value"] >= 0.95
    assert figures["foreign_refused"]["all"]["value"] >= 0.9
    low, high = figures["accuracy"]["interval"]
    assert low < figures["accuracy"]["value"] <= high


def test_the_confusion_matrix_holds_every_picture_once(figures):
    truth = figures["confusion"]["truth"]

    assert {name: sum(counts) for name, counts in truth.items()} == {
        "bicycle": 20,
        "motorcycle": 20,
        "foreign": 20,
    }
    assert figures["confusion"]["answers"] == artifact.read_archive(SHIPPED)[0]["labels"]


def test_every_damage_is_measured_on_the_classes_of_interest(figures):
    assert len(figures["robustness"]) == 4
    for figure in figures["robustness"].values():
        assert figure["accuracy"]["count"] == 40
        lost = figures["accuracy"]["value"] - figure["accuracy"]["value"]
        assert figure["lost"] == pytest.approx(lost, abs=1e-3)


def test_the_curve_ends_with_the_accuracy_of_all_answers_of_interest(figures):
    last = figures["risk_coverage"][-1]

    assert last["coverage"] > 0.9
    assert last["accuracy"] >= figures["accuracy"]["value"] - 1e-9
    assert [p["coverage"] for p in figures["risk_coverage"]] == sorted(
        p["coverage"] for p in figures["risk_coverage"]
    )


def test_drawn_pictures_are_judged_by_sort(figures):
    assert set(figures["drawn"]) == {"bicycle", "motorcycle", "other", "ambiguous"}
    assert figures["drawn"]["bicycle"]["accepted_right"]["count"] == 5
    assert figures["drawn"]["other"]["refused"]["count"] == 5


def test_precision_and_recall_by_hand():
    """Of 4 bicycles one is called a motorcycle and one neither; of 2 motorcycles none is missed."""
    description = {
        "labels": ["bicycle", "motorcycle", "neither"],
        "classes_of_interest": ["bicycle", "motorcycle"],
        "threshold": 0.5,
    }
    best = np.array([0, 0, 1, 2, 1, 1, 0])
    answers = Predictions(
        description, np.eye(3)[best] * 0.9, np.array([0, 0, 0, 0, 1, 1, OUT_OF_DISTRIBUTION])
    )

    classes = evaluate._per_class(answers)

    assert classes["bicycle"]["recall"]["value"] == 0.5
    assert classes["bicycle"]["precision"]["value"] == 1.0
    assert classes["motorcycle"]["recall"]["value"] == 1.0
    assert classes["motorcycle"]["precision"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert answers.right.tolist() == [True, True, False, False, True, True, False]


def test_swapped_labels_are_judged_wrong(folder_of_drawings, tmp_path):
    (tmp_path / "motorcycle").symlink_to(folder_of_drawings / "bicycle")
    (tmp_path / "bicycle").symlink_to(folder_of_drawings / "motorcycle")

    assert evaluate.evaluate(SHIPPED, tmp_path, "train")["accuracy"]["value"] <= 0.05


def test_a_staged_set_is_judged_as_the_source_it_came_from(folder_of_drawings, tmp_path):
    """Drawn houses become `neither`, which judges; the pictures are the same, pixel by pixel."""
    staging.stage_pictures(
        [folder_of_drawings],
        ["bicycle", "motorcycle"],
        stores.Folder(tmp_path),
        neither=100,
        progress=lambda _text, _share: None,
    )
    kept = {path.name for path in (tmp_path / "test" / "bicycle").iterdir()}

    figures = evaluate.evaluate(SHIPPED, tmp_path, "test")

    assert sum(figures["confusion"]["truth"]["bicycle"]) == len(kept)


def test_the_pictures_digest_does_not_depend_on_packing(folder_of_drawings, tmp_path):
    for place in folder_of_drawings.iterdir():
        (tmp_path / "test" / place.name).mkdir(parents=True)
        for path in place.iterdir():
            Image.open(path).save(tmp_path / "test" / place.name / f"renamed-{path.name}", compress_level=1)

    interest = ["bicycle", "motorcycle"]
    first = test_set.read(folder_of_drawings, "train", interest).digest()
    assert test_set.read(tmp_path, "test", interest).digest() == first
    next((tmp_path / "test" / "bicycle").iterdir()).unlink()
    assert test_set.read(tmp_path, "test", interest).digest() != first


def test_the_command_prints_every_figure_and_writes_json_and_charts(folder_of_drawings, tmp_path):
    command = ["evaluate", "--data", str(folder_of_drawings), "--split", "train", "--drawn", "0"]

    result = CliRunner().invoke(app, [*command, "--to", str(tmp_path / "out" / "figures.json")])

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line for line in lines if line.startswith("accuracy ") and "40 pictures" in line]
    assert [line for line in lines if line.startswith("recall of motorcycle") and "20 pictures" in line]
    assert json.loads((tmp_path / "out" / "figures.json").read_text())["accuracy"]["count"] == 40
    for name in ("risk-coverage", "reliability", "confusion"):
        with Image.open(tmp_path / "out" / f"{name}.png") as chart:
            assert chart.width > 300
            assert len(chart.convert("L").getcolors()) > 10


def test_json_for_scripts_is_all_of_standard_output(folder_of_drawings):
    command = ["evaluate", "--data", str(folder_of_drawings), "--split", "train", "--drawn", "0", "--json"]

    assert json.loads(CliRunner().invoke(app, command).stdout)["threshold"] > 0


@pytest.mark.parametrize("missing", ["artifact", "data"])
def test_a_missing_artifact_or_source_is_one_clear_line(tmp_path, missing):
    places = {"artifact": str(SHIPPED), "data": str(tmp_path)} | {missing: str(tmp_path / "none.tar.gz")}

    result = CliRunner().invoke(app, ["evaluate", places["artifact"], "--data", places["data"]])

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "none.tar.gz" in result.stderr


def test_a_server_that_does_not_start_is_reported_with_what_it_said(tmp_path):
    description, _ = artifact.read_archive(SHIPPED)
    artifact.write(tmp_path, description, b"no network")

    with pytest.raises(ServingFailed, match="cannot be run"), serving_client.serving(tmp_path):
        pass


def test_the_shipped_model_recognises_real_pictures(shared_data):
    figures = evaluate.evaluate(SHIPPED, shared_data / "cifar-100-python.tar.gz", "test")

    assert figures["accuracy"]["value"] >= 0.90
    assert figures["accepted_accuracy"]["value"] >= 0.95
    assert figures["foreign_refused"]["all"]["value"] >= 0.95
    assert figures["foreign_refused"]["vehicles"]["count"] > 50


def test_the_shipped_model_fits_its_limit():
    assert SHIPPED.stat().st_size <= artifact.LARGEST
