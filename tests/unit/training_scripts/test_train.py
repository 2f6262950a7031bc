"""Training from end to end on a handful of pictures: what it writes, and how it fails.

Needs PyTorch, which the demo does without: make setup-train
"""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training_scripts import artifact
from training_scripts.synthetic import generator

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make setup-train")

from training_scripts import sweep, train  # noqa: E402 - they import torch
from training_scripts.data import staging, stores  # noqa: E402 - they import torch
from training_scripts.serve import Model  # noqa: E402
from training_scripts.training import augmentation, loop, muon, onnx_export  # noqa: E402 - they import torch
from training_scripts.training.from_scratch import load  # noqa: E402
from training_scripts.training.network import Network  # noqa: E402
from training_scripts.training.settings import WIDTHS, Settings, Sources  # noqa: E402

TINY = [
    "--epochs",
    "2",
    "--folds",
    "2",
    "--drawn",
    "20",
    "--drawn-per-epoch",
    "10",
    "--neither-per-epoch",
    "6",
]
TINY += ["--batch-size", "10"]


def archive_of_drawings(path: Path, labels: dict[str, str], count: int = 8) -> Path:
    """An archive <split>/<class>/<file>; `labels` maps class names to what is drawn for them."""
    with tarfile.open(path, "w:gz") as tar:
        for split, first in (("train", 0), ("test", 100)):
            for name, drawn in labels.items():
                for seed in range(first, first + count):
                    buffer = io.BytesIO()
                    generator.draw(drawn, seed, 32).save(buffer, "PNG")
                    member = tarfile.TarInfo(f"{split}/{name}/{seed}.png")
                    member.size = buffer.tell()
                    buffer.seek(0)
                    tar.addfile(member, buffer)
    return path


ALL = {"bicycle": "bicycle", "motorcycle": "motorcycle", "apple": "other", "bed": "other"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return archive_of_drawings(tmp_path_factory.mktemp("data") / "pictures.tar.gz", ALL)


def run(archive: Path, folder: Path, *more: str) -> int:
    return train.main(["--data", str(archive), "--model-dir", str(folder), *TINY, *more])


def test_a_training_by_hand_ends_in_an_artifact_that_the_server_runs(archive, tmp_path):
    assert run(archive, tmp_path) == 0

    description, _ = artifact.read_archive(tmp_path / "model.tar.gz")
    assert description["labels"] == ["bicycle", "motorcycle", "neither"]
    assert description["metrics"]["cross_validation"]["accuracy"]["count"] == 16
    assert description["metrics"]["unseen_classes_refused"]["count"] == 16
    assert set(description["baseline"]) >= {"class_mix", "confidence", "brightness", "contrast", "sharpness"}
    buffer = io.BytesIO()
    generator.draw("bicycle", 1).save(buffer, "PNG")
    assert sum(Model(tmp_path).classify(buffer.getvalue())) == pytest.approx(1, abs=1e-5)


def test_a_staged_set_judges_by_its_own_foreign_pictures(tmp_path):
    source = archive_of_drawings(tmp_path / "pictures.tar.gz", ALL)
    place = stores.Folder(tmp_path / "staged")
    classes = ["bicycle", "motorcycle"]
    staging.stage_pictures([source], classes, place, neither=100, progress=lambda *_: None)

    material = load(Sources(tmp_path / "staged", None), Settings(folds=2, drawn=0))

    assert (len(material.real), len(material.test)) == (24, 16)
    assert len(material.foreign) == 16  # of the class "bed", from both splits


def test_the_same_seed_trains_the_same_network(archive, tmp_path):
    for name in ("a", "b"):
        assert run(archive, tmp_path / name) == 0

    first, second = (artifact.read_folder(tmp_path / name) for name in ("a", "b"))
    assert first == second


def test_an_interrupted_training_ends_like_an_uninterrupted_one(archive, tmp_path, monkeypatch):
    assert run(archive, tmp_path / "whole") == 0
    epochs = []
    whole_epoch = loop.TrainingRun._epoch

    def cut_off(self, epoch):
        epochs.append(epoch)
        if len(epochs) == 4:
            raise KeyboardInterrupt
        return whole_epoch(self, epoch)

    monkeypatch.setattr(loop.TrainingRun, "_epoch", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run(archive, tmp_path / "cut")
    assert not (tmp_path / "cut" / "model.json").exists()

    assert run(archive, tmp_path / "cut") == 0
    assert len(epochs) == 7  # two epochs for each of three runs, and the one that was cut off
    assert artifact.read_folder(tmp_path / "cut") == artifact.read_folder(tmp_path / "whole")


def reviewed(folder: Path, labels: dict[str, str]) -> Path:
    """A channel of what people labelled: train/<class>/<file>, as `scones train --with-reviewed` writes it."""
    for label, drawn in labels.items():
        place = folder / "train" / label
        place.mkdir(parents=True)
        for seed in range(200, 203):
            generator.draw(drawn, seed, 48).save(place / f"{seed}.png")
    return folder


def test_what_people_reviewed_is_trained_on_beside_the_rest(archive, tmp_path):
    channel = reviewed(tmp_path / "reviewed", {"bicycle": "ambiguous", "neither": "other"})
    folder = tmp_path / "model"

    assert run(archive, folder, "--reviewed", str(channel)) == 0

    description, _ = artifact.read_folder(folder)
    without = load(Sources(archive, None), Settings(folds=2, drawn=20))
    assert description["metrics"]["cross_validation"]["accuracy"]["count"] == 16 + 3
    assert description["data_sha256"] != without.digest


def test_reviewed_pictures_of_another_models_class_are_a_clear_error(archive, tmp_path, capsys):
    channel = reviewed(tmp_path / "reviewed", {"bus": "other"})

    assert run(archive, tmp_path / "model", "--reviewed", str(channel)) == 1

    assert "reviewed pictures of bus" in capsys.readouterr().err


def test_pretraining_on_other_pictures_is_done_once(archive, tmp_path, capsys):
    others = archive_of_drawings(tmp_path / "others.tar.gz", {"cat": "other", "dog": "ambiguous"})

    assert run(archive, tmp_path / "model", "--pretrain", str(others), "--pretrain-epochs", "1") == 0

    assert capsys.readouterr().out.count("pretrain-small epoch=1/1") == 1


def test_a_job_is_configured_by_sagemakers_environment(archive, tmp_path, monkeypatch):
    """Its channels and hyperparameters come from there."""
    channel, folder = tmp_path / "channel", tmp_path / "model"
    channel.mkdir()
    (channel / archive.name).write_bytes(archive.read_bytes())
    monkeypatch.setenv("SM_CHANNEL_TRAINING", str(channel))
    monkeypatch.setenv("SM_MODEL_DIR", str(folder))
    monkeypatch.setenv("TRAINING_JOB_NAME", "job-7")
    hyperparameters = {"epochs": 1, "folds": 2, "drawn": 20, "seed": 3, "sagemaker_program": "train.py"}
    monkeypatch.setenv("SM_HPS", json.dumps(hyperparameters))
    monkeypatch.setattr(train, "JOB_CHECKPOINTS", tmp_path / "checkpoints")

    assert train.main(["--batch_size", "10"]) == 0

    description, _ = artifact.read_folder(folder)
    assert description["name"] == "job-7"
    assert description["hyperparameters"]["seed"] == 3
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.onnx"]


def test_a_job_that_fails_leaves_its_reason_where_sagemaker_looks(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SM_MODEL_DIR", str(tmp_path / "model"))
    monkeypatch.setattr(train, "FAILURE_FILE", tmp_path / "failure")
    (tmp_path / "channel").mkdir()

    assert train.main(["--data", str(tmp_path / "channel"), *TINY]) == 1

    assert "no pictures of the split" in (tmp_path / "failure").read_text()
    assert "no pictures of the split" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("labels", "more", "said"),
    [
        ({"bicycle": "bicycle", "apple": "other"}, [], "'motorcycle'"),
        (ALL, ["--classes", "bicycle"], "at least two"),
        (ALL, ["--folds", "9"], "for 9 folds"),
    ],
)
def test_data_that_cannot_be_trained_on_is_a_clear_error_and_no_artifact(
    tmp_path, capsys, labels, more, said
):
    source = archive_of_drawings(tmp_path / "pictures.tar.gz", labels)

    assert run(source, tmp_path / "model", *more) == 1

    assert said in capsys.readouterr().err
    assert not (tmp_path / "model" / "model.json").exists()


def test_a_corrupt_picture_in_the_data_is_named(tmp_path, capsys):
    for name in ("bicycle", "motorcycle"):
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(tmp_path / "data" / name / "1.png")
    (tmp_path / "data" / "bicycle" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")

    assert run(tmp_path / "data", tmp_path / "model") == 1
    assert "2.png" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_stops_the_training(archive, tmp_path, capsys):
    assert run(archive, tmp_path, "--muon-lr", "nan") == 1

    assert "the loss became nan" in capsys.readouterr().err
    assert not (tmp_path / "model.json").exists()


def test_a_full_disk_is_a_clear_error(archive, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop, "_save", full)

    assert run(archive, tmp_path) == 1
    assert "No space left" in capsys.readouterr().err


@pytest.mark.parametrize("architecture", sorted(WIDTHS))
def test_the_exported_network_answers_as_torch_does(architecture):
    torch.manual_seed(1)
    network = Network(3, WIDTHS[architecture])
    network.set_whitening(torch.randn(20, 3, 32, 32))
    network(torch.randn(50, 3, 32, 32))  # moves the batch statistics

    exported = onnx_export.to_onnx(network, 32)

    for count in (1, 2, 7):
        assert onnx_export.largest_difference(network, exported, torch.randn(count, 3, 32, 32)) < 1e-4


def test_kinds_of_neither_are_added_up_and_follow_into_the_export():
    torch.manual_seed(1)
    network = Network(3, WIDTHS["small"], kinds=4).eval()
    pixels = torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        fine, answers = network.fine(pixels).softmax(1), network(pixels).softmax(1)

    assert torch.allclose(answers[:, :2], fine[:, :2], atol=1e-6)
    assert torch.allclose(answers[:, 2], fine[:, 2:].sum(1), atol=1e-6)
    assert onnx_export.largest_difference(network, onnx_export.to_onnx(network, 32), pixels) < 1e-4


def test_lowering_neither_moves_its_logit_alone():
    network = Network(3, WIDTHS["small"], kinds=4).eval()
    pixels = torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        before = network(pixels)
        network.lower_neither(0.75)
        after = network(pixels)

    assert torch.allclose(before - after, torch.tensor([0.0, 0.0, 0.75]), atol=1e-5)


def test_fine_tuning_starts_from_the_pretrained_body():
    """The classes of the pretraining become kinds of `neither`."""
    pretrained, network = Network(4, WIDTHS["small"]).eval(), Network(3, WIDTHS["small"], kinds=5).eval()
    network.adopt(pretrained)
    pixels = torch.randn(5, 3, 32, 32)

    with torch.no_grad():
        assert torch.allclose(network.fine(pixels)[:, 3:7], pretrained(pixels), atol=1e-5)


def test_a_sweep_prints_a_row_of_figures_per_combination(archive, tmp_path, capsys):
    words = ["--data", str(archive), "--checkpoints", str(tmp_path), "--use-folds", "0,1"]

    assert sweep.main([*words, "epochs=1", "strength=0.2,0.4", "drawn_per_epoch=4", "batch_size=10"]) == 0

    rows = [line for line in capsys.readouterr().out.splitlines() if "strength=" in line]
    assert len(rows) == 2


@pytest.mark.parametrize("word", ["nothing=1", "folds=3", "epochs=many"])
def test_a_sweep_over_what_it_does_not_know_is_a_clear_error(archive, tmp_path, capsys, word):
    assert sweep.main(["--data", str(archive), "--checkpoints", str(tmp_path), word]) == 1

    assert capsys.readouterr().err.startswith("the sweep failed: ")


def test_an_export_that_answers_differently_is_refused(monkeypatch):
    monkeypatch.setattr(onnx_export, "largest_difference", lambda *_: float("nan"))

    with pytest.raises(loop.TrainingError, match="differs"):
        onnx_export.to_onnx(Network(3, WIDTHS["small"]), 32)


def test_the_first_layer_whitens_patches_and_stays_as_it_is():
    network = Network(3, WIDTHS["small"])
    smooth = torch.nn.functional.interpolate(torch.randn(400, 3, 8, 8), scale_factor=4, mode="bilinear")
    network.set_whitening(smooth)

    responses = network.whiten(smooth)[:, :12].permute(1, 0, 2, 3).flatten(1)
    covariance = torch.cov(responses)

    assert (covariance - torch.diag(covariance.diagonal())).abs().max() < 0.05
    assert not network.whiten.weight.requires_grad


def test_augmentation_follows_its_generator_and_keeps_the_scale():
    pictures = torch.rand(64, 3, 32, 32)

    first, again = (
        augmentation.augment(pictures.clone(), 1.0, 1.0, torch.Generator().manual_seed(5)) for _ in range(2)
    )
    other = augmentation.augment(pictures.clone(), 1.0, 1.0, torch.Generator().manual_seed(6))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == pictures.shape
    assert first.min() >= 0
    assert first.max() <= 1


def test_jpeg_in_augmentation_stays_close_to_the_picture():
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4), size=(32, 32), mode="bicubic").clamp(
        0, 1
    )

    assert (augmentation._through_jpeg(smooth[0], 90) - smooth[0]).abs().mean() < 0.03


def test_muons_step_is_orthogonal():
    update = muon.orthogonal(torch.randn(16, 48, generator=torch.Generator().manual_seed(0)), steps=6)

    assert np.linalg.svd(update.numpy(), compute_uv=False) == pytest.approx(np.ones(16), abs=0.35)
