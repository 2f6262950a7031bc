"""The closed loop: a doubt, a person's answer, a training channel, a promoted model, a rerun, no doubt.

The whole of it needs PyTorch and some minutes. In the short version the channel is checked up to the job's request,
and the model that the gate lets through is the shipped network with a lower threshold.
"""

import json
import tarfile
import urllib.request
import uuid

import pytest
from PIL import Image

from scripts.common.paths import SHIPPED_MODEL
from scripts.models import training_jobs
from scripts.operations.local_stack import training_python
from scripts.review import queue
from scripts.review.queue import Reviews
from scripts.review.server import serving
from training_scripts import artifact
from training_scripts.synthetic import generator


@pytest.fixture
def scones(scones, stack):
    """Calls the command line against the running stack, whose model is put back afterwards."""
    before = stack.model_file.read_text()
    yield scones
    stack.model_file.write_text(before)
    stack.apply()


def person(address):
    """Talks to the page's server as the page does."""
    base, _, token = address.partition("/#")
    headers = {"X-Scones-Token": token, "X-Scones-Session": str(uuid.uuid4()), "Origin": base}

    def ask(path, **asked):
        request = urllib.request.Request(f"{base}/api/{path}", json.dumps(asked).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    return ask


def answered(deployment, uri, label):
    """Goes through what waits, as a person does, and answers for one picture; puts off the others."""
    with serving(Reviews(deployment, "ann"), 0) as address:
        ask = person(address)
        told, seen = ask("next"), set()
        while told["item"] and told["item"]["id"] not in seen:
            seen.add(told["item"]["id"])
            if told["item"]["picture"] == uri:
                return ask("answer", id=told["item"]["id"], label=label)
            told = ask("later", id=told["item"]["id"])
    raise AssertionError(f"{uri} was never shown")


def doubt(workflow, folder):
    """A bicycle and a motorcycle in one picture, which the model takes for one of them without being sure."""
    for seed in range(1, 20):
        path = folder / f"both-{uuid.uuid4()}.png"
        bicycle, motorcycle = (generator.draw(label, seed) for label in ("bicycle", "motorcycle"))
        Image.blend(bicycle, motorcycle, 0.5).save(path)
        outcome = workflow.classify(str(path))
        if outcome.status == "LOW_CONFIDENCE" and outcome.label in ("bicycle", "motorcycle"):
            return outcome
    raise AssertionError("the model doubts no such picture")


@pytest.mark.slow
@pytest.mark.last
def test_a_doubt_is_labelled_trained_on_and_accepted_by_the_next_model(scones, stack, workflow, tmp_path):
    outcome = doubt(workflow, tmp_path)
    label, lenient = outcome.label, round(outcome.confidence - 0.005, 3)
    deployment = stack.deployment()

    answered(deployment, outcome.uri, label)

    row = workflow.row(outcome.uri, outcome.version)
    assert (row["reviewed_label"], row["reviewer"]) == (label, "ann")
    assert "attention" not in row
    assert queue.write_manifest(deployment) >= 1

    place = queue.freeze(deployment)
    plan = training_jobs.Plan(f"s3://{deployment.bucket}/training/data/x/", reviewed=place)
    channels = training_jobs.request(deployment, "scones-local-training-x", plan)["InputDataConfig"]
    assert [each["ChannelName"] for each in channels] == ["training", "reviewed"]
    frozen = workflow.s3.list_objects_v2(Bucket=deployment.bucket, Prefix=place.split("/", 3)[3])["Contents"]
    assert any(f"/train/{label}/" in each["Key"] for each in frozen)

    description, network = artifact.read_archive(SHIPPED_MODEL)
    change = {"name": f"reviewed-{uuid.uuid4().hex[:8]}", "threshold": lenient}
    artifact.write(tmp_path / "next", description | change, network)
    candidate = artifact.pack(tmp_path / "next")
    promoted = scones("promote", candidate, "--env", "local", "--frozen", pictures(tmp_path))
    assert promoted.exit_code == 0, promoted.stderr
    assert scones("deploy").exit_code == 0

    rerun = scones("rerun", "--picture", outcome.uri, "--wait", "--yes")
    assert rerun.exit_code == 0, rerun.stdout + rerun.stderr
    row = workflow.row(outcome.uri, outcome.version)
    assert (row["status"], row["label"], row["threshold"]) == ("ACCEPTED", label, lenient)
    assert row["reviewed_label"] == label
    assert [entry["status"] for entry in row["history"]] == [
        *("LOW_CONFIDENCE", "reviewed"),
        *("asked again", "ACCEPTED"),
    ]


@pytest.mark.slow
@pytest.mark.last
@pytest.mark.timeout(1200)
def test_a_doubt_is_trained_on_by_a_job_and_accepted_by_its_model(scones, stack, workflow, tmp_path):
    try:
        training_jobs.check_interpreter(training_python(), "small")
    except training_jobs.ToolsMissing as error:
        pytest.skip(str(error))
    outcome = doubt(workflow, tmp_path)
    answered(stack.deployment(), outcome.uri, outcome.label)

    data = pictures(tmp_path, trained_on=150)
    trained = scones("train", "--with-reviewed", "--data", data, "--json", *settings(**QUICKLY))
    assert trained.exit_code == 0, trained.stderr
    promoted = scones("promote", json.loads(trained.stdout)["artifact"], "--env", "local", "--frozen", data)
    assert promoted.exit_code == 0, promoted.stdout + promoted.stderr
    assert scones("deploy").exit_code == 0

    rerun = scones("rerun", "--picture", outcome.uri, "--wait", "--yes")
    assert rerun.exit_code == 0, rerun.stdout + rerun.stderr
    row = workflow.row(outcome.uri, outcome.version)
    assert (row["status"], row["label"]) == ("ACCEPTED", outcome.label)
    assert row["model"] == json.loads(trained.stdout)["job"]


# Drawn pictures are easy: this is enough for a model that the gate finds no worse on them than the shipped one.
QUICKLY = {"epochs": 20, "folds": 2, "drawn": 600, "drawn_per_epoch": 150, "neither_per_epoch": 150}


def settings(**named):
    return [word for name, value in named.items() for word in ("--set", f"{name}={value}")]


def pictures(folder, trained_on=30):
    """A set of drawn pictures: to train on, and frozen, which the gate judges by."""
    archive = folder / "frozen.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for split, first, count in (("train", 6000, trained_on), ("test", 7000, 30)):
            for sort, label in (("bicycle", "bicycle"), ("motorcycle", "motorcycle"), ("other", "house")):
                for seed in range(first, first + count):
                    generator.draw(sort, seed, 64).save(folder / "one.png")
                    tar.add(folder / "one.png", f"set/{split}/{label}/{seed}.png")
    return archive
