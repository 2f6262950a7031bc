"""Judging an artifact by asking the serving program, and what the shipped one must reach."""

from pathlib import Path

import pytest

from training_scripts import artifact, drawings, evaluate
from training_scripts.evaluate import ServingFailed

SHIPPED = Path(__file__).resolve().parents[2] / "training_scripts" / "model" / "model.tar.gz"


@pytest.fixture(scope="module")
def folder_of_drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawings")
    for label, name in (("bicycle", "bicycle"), ("motorcycle", "motorcycle"), ("other", "house")):
        (folder / name).mkdir()
        for seed in range(20):
            drawings.draw(label, 5000 + seed, 128).save(folder / name / f"{seed}.png")
    return folder


def test_a_folder_is_judged_at_the_artifacts_own_threshold(folder_of_drawings):
    figures = evaluate.evaluate(SHIPPED, folder_of_drawings, "train")

    assert figures["accuracy"]["count"] == 40
    assert figures["neither_refused"]["count"] == 20
    assert figures["accuracy"]["value"] >= 0.95
    assert figures["neither_refused"]["value"] >= 0.9


def test_swapped_labels_are_judged_wrong(folder_of_drawings, tmp_path):
    (tmp_path / "motorcycle").symlink_to(folder_of_drawings / "bicycle")
    (tmp_path / "bicycle").symlink_to(folder_of_drawings / "motorcycle")

    assert evaluate.evaluate(SHIPPED, tmp_path, "train")["accuracy"]["value"] <= 0.05


def test_the_command_prints_every_figure_with_its_interval_and_sample_size(folder_of_drawings, capsys):
    assert evaluate.main([str(SHIPPED), str(folder_of_drawings), "--split", "train"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("accuracy ") and "40 pictures" in line]
    assert [line for line in lines if line.startswith("accuracy of motorcycle") and "20 pictures" in line]


def test_a_missing_artifact_or_source_is_one_clear_line(tmp_path, capsys):
    assert evaluate.main([str(tmp_path / "none.tar.gz"), str(tmp_path)]) == 1
    assert evaluate.main([str(SHIPPED), str(tmp_path / "none")]) == 1

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("evaluation failed: ") for line in lines)


def test_a_server_that_does_not_start_is_reported_with_what_it_said(tmp_path):
    description, _ = artifact.read_archive(SHIPPED)
    artifact.write(tmp_path, description, b"no network")

    with pytest.raises(ServingFailed, match="cannot be run"), evaluate.serving(tmp_path):
        pass


def test_the_shipped_model_recognises_real_pictures(shared_data):
    figures = evaluate.evaluate(SHIPPED, shared_data / "cifar-100-python.tar.gz", "test")

    assert figures["accuracy"]["value"] >= 0.90
    assert figures["accepted_accuracy"]["value"] >= 0.95
    assert figures["neither_refused"]["value"] >= 0.95


def test_the_shipped_model_fits_its_limit():
    assert SHIPPED.stat().st_size <= artifact.LARGEST
