"""make train: the order of its commands, and where it stops."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.cli import train_pipeline
from scripts.cli.train_pipeline import StepFailed
from scripts.operations.local_stack import LocalStack


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands given, in order; `promote` refuses, `train` answers as it does."""
    given: list[tuple[str, ...]] = []

    def scones(*words: str, **_: Any) -> str:
        given.append(words)
        if words[0] == "promote":
            raise StepFailed(3)
        return json.dumps({"job": "job-1", "artifact": "s3://bucket/training/job-1/output/model.tar.gz"})

    monkeypatch.setattr(train_pipeline, "scones", scones)
    monkeypatch.setattr(LocalStack, "deployment", lambda _: SimpleNamespace(bucket="bucket"))
    return given


def test_a_model_that_the_gate_refuses_is_not_deployed(
    commands: list[tuple[str, ...]], tmp_path: Path
) -> None:
    archive = tmp_path / "pictures.tar.gz"
    archive.write_bytes(b"pictures")

    with pytest.raises(StepFailed) as error:
        train_pipeline.chain(archive, "bus,pickup_truck", ["--set", "epochs=1"])

    assert error.value.code == 3
    assert [words[0] for words in commands] == ["up", "stage", "train", "evaluate", "promote"]
    stage, train, _, promote = commands[1:]
    name = stage[stage.index("--name") + 1]
    assert name.startswith("bus-pickup-truck-")
    assert train[train.index("--data") + 1] == f"s3://bucket/training/data/{name}/"
    assert train[-3:] == ("--set", "epochs=1", "--json")
    assert promote[-1] == "--new-classes"
    assert promote[1] == "s3://bucket/training/job-1/output/model.tar.gz"


@pytest.mark.parametrize(
    ("training", "way"),
    [([], "PRETRAIN=cifar-10-jpeg.tar.xz"), (["--pretrain", "cifar-10-jpeg.tar.xz"], 'SET="epochs=100"')],
)
def test_a_refusal_says_what_stays_and_what_would_pass(
    commands: list[tuple[str, ...]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    training: list[str],
    way: str,
) -> None:
    archive = tmp_path / "pictures.tar.gz"
    archive.write_bytes(b"pictures")

    with pytest.raises(StepFailed):
        train_pipeline.chain(archive, "bicycle,motorcycle", training)

    said = capsys.readouterr().err
    assert "the current model goes on answering" in said
    assert "The refused one stays at s3://bucket/training/job-1/output/model.tar.gz" in said
    assert way in said


def test_a_folder_of_photographs_is_learnt_by_a_frozen_network(
    commands: list[tuple[str, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its folders are the classes, but for "neither"."""
    for label in ("van", "lorry", "neither"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.jpg").write_bytes(b"picture")

    with pytest.raises(StepFailed):
        train_pipeline.chain(tmp_path, None, [])

    stage, train = commands[1:3]
    assert stage[stage.index("--classes") + 1] == "lorry,van"
    assert stage[-2:] == ("--size", "224")
    assert train[-3:] == ("--set", "architecture=lite0", "--json")
    assert "More photographs of what it confused would help" in capsys.readouterr().err


def test_without_the_archive_the_way_to_name_it_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["training_chain", "nowhere.tar.gz"])

    with pytest.raises(SystemExit):
        train_pipeline.main()

    assert "nowhere.tar.gz is not there: write make train DATA=ARCHIVE" in capsys.readouterr().err
