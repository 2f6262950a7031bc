"""From a staged set in the bucket through the gate to Terraform's real plan, with the command line."""

import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from scripts.common.paths import SHIPPED_MODEL
from training_scripts import artifact
from training_scripts.synthetic import generator


@pytest.fixture
def scones(scones, stack):
    """Calls the command line against the running stack, whose model file is put back afterwards."""
    before = stack.model_file.read_text()
    yield scones
    stack.model_file.write_text(before)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """An archive of drawn pictures: 30 of each class in either split."""
    folder = tmp_path_factory.mktemp("pictures")
    with tarfile.open(folder / "drawings.tar.gz", "w:gz") as tar:
        for split, first in (("train", 6000), ("test", 7000)):
            for sort, label in (("bicycle", "bicycle"), ("motorcycle", "motorcycle"), ("other", "house")):
                for seed in range(first, first + 30):
                    generator.draw(sort, seed, 64).save(folder / "one.png")
                    tar.add(folder / "one.png", f"set/{split}/{label}/{seed}.png")
    return folder / "drawings.tar.gz"


def packed(folder: Path, name: str, **change: Any) -> Path:
    """The shipped network under another name, otherwise described."""
    description, network = artifact.read_archive(SHIPPED_MODEL)
    artifact.write(folder / name, description | {"name": name} | change, network)
    return artifact.pack(folder / name)


def planned(stack) -> str:
    """The summary line of Terraform's own plan."""
    _, text = stack.terraform("plan", "-no-color", "-input=false", *stack.var_files())
    return re.search(r"^(Plan: .*|No changes\.)", text, re.MULTILINE).group(1)


def test_stage_copies_into_the_deployments_bucket_once(scones, stack, pictures):
    first = scones("stage", "--source", pictures, "--name", "drawings")
    second = scones("stage", "--source", pictures, "--name", "drawings")

    bucket = stack.deployment().bucket
    assert first.exit_code == 0, first.stderr
    assert f"s3://{bucket}/training/data/drawings/: 153 files copied" in first.stdout
    assert "scones train --data" in first.stderr
    assert "0 files copied, 153 were there already" in second.stdout


def test_a_model_in_the_bucket_is_judged_on_a_set_in_the_bucket(scones, stack, pictures):
    scones("stage", "--source", pictures, "--name", "drawings")
    model = json.loads(stack.model_file.read_text())["model"]
    staged = f"s3://{stack.deployment().bucket}/training/data/drawings/"

    result = scones("evaluate", model["artifact_uri"], "--data", staged, "--drawn", "0", "--json")

    assert json.loads(result.stdout)["accuracy"]["count"] == 60


@pytest.mark.parametrize("change", [{}, {"threshold": 0.5}])
def test_a_promoted_model_changes_endpoint_and_thresholds_alone(scones, stack, pictures, tmp_path, change):
    candidate = packed(tmp_path, f"promoted-{len(change)}", **change)

    result = scones("promote", candidate, "--env", "local", "--frozen", pictures)

    assert result.exit_code == 0, result.stderr
    assert planned(stack) == "Plan: 2 to add, 3 to change, 2 to destroy."


def test_reverting_the_file_rolls_back(scones, stack, pictures, tmp_path):
    shutil.copy(stack.model_file, tmp_path / "before.json")
    scones("promote", packed(tmp_path, "rolled-back"), "--env", "local", "--frozen", pictures)

    shutil.copy(tmp_path / "before.json", stack.model_file)

    assert planned(stack) == "No changes."


def test_a_worse_model_is_refused_with_its_reasons_and_exit_code_3(scones, stack, pictures, tmp_path):
    before = stack.model_file.read_text()
    candidate = packed(tmp_path, "swapped", labels=["motorcycle", "bicycle", "neither"])

    result = scones("promote", candidate, "--env", "local", "--frozen", pictures)

    assert result.exit_code == 3
    assert "refused: right answers" in result.stderr
    assert stack.model_file.read_text() == before


def test_without_a_frozen_set_it_says_what_is_needed(scones, tmp_path):
    result = scones("promote", packed(tmp_path, "unjudged"), "--env", "local")

    assert result.exit_code == 1
    assert "--frozen is needed" in result.stderr


@pytest.mark.slow
def test_a_broken_model_is_noticed_and_rolled_back(  # noqa: PLR0917 - fixtures
    scones, stack, workflow, pictures, bicycle, doubtful, tmp_path
):
    """A promoted model answers, a broken one is noticed, and one command rolls it back."""
    before = json.loads(stack.model_file.read_text())["model"]["name"]

    def answering() -> str:
        outcome = workflow.classify(str(bicycle))
        return workflow.row(outcome.uri, outcome.version)["model"]

    shared = stack.model_file.read_text()
    scones("promote", packed(tmp_path, "deployed"), "--env", "local", "--frozen", pictures)
    assert answering() == before

    assert scones("deploy").exit_code == 0
    assert answering() == "deployed"

    promoted = stack.model_file.read_text()
    description, _ = artifact.read_archive(SHIPPED_MODEL)
    artifact.write(tmp_path / "broken", description | {"name": "broken", "threshold": 0.34}, b"no network")
    stack.publish(artifact.pack(tmp_path / "broken"))
    stack.apply()  # succeeds, although the endpoint is rolled back and its configuration deleted
    verified = scones("verify", "--json")
    told = {check["what"]: check for check in json.loads(verified.stdout)["checks"]}
    assert verified.exit_code == 4
    assert "which is deleted" in told["endpoint"]["why"]
    assert "did not pass the ping health check" in told["endpoint"]["why"]
    assert told["canary"]["state"] == "ok"
    outcome = workflow.classify(str(doubtful))
    assert (outcome.status, outcome.threshold) == ("LOW_CONFIDENCE", description["threshold"])

    stack.model_file.write_text(promoted)
    done = scones("rollback", "--env", "local", "--yes")
    assert done.exit_code == 0, done.stderr
    assert f"From deployed back to {before}:" in done.stdout
    assert answering() == before

    # The stack is shared: it has again what its file says, without the models that this test has named.
    stack.model_file.write_text(shared)
    stack.apply()
