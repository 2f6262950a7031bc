"""Publishing an artifact: where it goes, what Terraform is told, and what is refused.

The gate with real models and their serving programs: tests/functional/test_gate.py.
"""

import hashlib
import json

import numpy as np
import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from scripts.cli.app import app
from scripts.models import promotion, registry
from scripts.models.archive import ModelArchive
from scripts.models.promotion import Contest
from scripts.models.registry import Destination, PromoteError
from scripts.operations.local_stack import LocalStack
from tests.unit.training_scripts.test_artifact import DESCRIPTION, archive_of, member
from training_scripts import artifact
from training_scripts.artifact import ArtifactError
from training_scripts.evaluation.predictions import Predictions, truth_of
from training_scripts.evaluation.test_set import Pictures

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/scones@sha256:" + "0" * 64


def packed(folder, network=b"network", **change):
    artifact.write(folder, DESCRIPTION | change, network)
    return artifact.pack(folder)


def publish(archive, s3, tfvars, bucket="pictures"):
    model = registry.publish(ModelArchive.open(archive), IMAGE, Destination(bucket, tfvars, s3))
    return {"model": registry.write_model(tfvars, model)}


def first_or_next(candidate, destination):
    """Promotes without a frozen set."""
    return promotion.promote(
        candidate, IMAGE, destination, frozen=None, new_classes=False, progress=lambda _text, _share: None
    )


def test_a_promotion_publishes_and_writes_the_model_file(s3, tmp_path):
    """The artifact is in the bucket, and the file holds all that Terraform needs."""
    archive, tfvars = packed(tmp_path), tmp_path / "local.model.tfvars.json"

    returned = publish(archive, s3, tfvars)

    key = "models/scones-12345678/model.tar.gz"
    assert s3.get_object(Bucket="pictures", Key=key)["Body"].read() == archive.read_bytes()
    assert (
        returned
        == json.loads(tfvars.read_text())
        == {
            "model": {
                "name": "scones-12345678",
                "artifact_uri": f"s3://pictures/{key}",
                "sha256": artifact.sha256(archive),
                "image_uri": IMAGE,
                "labels": ["bicycle", "motorcycle", "neither"],
                "classes_of_interest": ["bicycle", "motorcycle"],
                "threshold": 0.93,
                "input_size": 32,
                "former": {},
            }
        }
    )


def test_the_baseline_is_beside_the_artifact(s3, tmp_path):
    """With what accepted means."""
    publish(packed(tmp_path, baseline={"count": 843, "confidence": [0.93] * 11}), s3, tmp_path / "m.json")

    stored = s3.get_object(Bucket="pictures", Key="models/scones-12345678/baseline.json")["Body"].read()
    assert json.loads(stored) == {
        "classes_of_interest": ["bicycle", "motorcycle"],
        "threshold": 0.93,
        "count": 843,
        "confidence": [0.93] * 11,
    }


def test_a_baseline_that_was_made_of_the_ledger_since_stays(s3, tmp_path):
    archive = packed(tmp_path, baseline={"count": 843, "confidence": [0.93] * 11})
    key = "models/scones-12345678/baseline.json"
    publish(archive, s3, tmp_path / "m.json")
    s3.put_object(Bucket="pictures", Key=key, Body=b"of the ledger")

    publish(archive, s3, tmp_path / "m.json")

    assert s3.get_object(Bucket="pictures", Key=key)["Body"].read() == b"of the ledger"


@pytest.mark.parametrize("baseline", [None, {"count": 0, "confidence": []}])
def test_a_model_that_accepted_nothing_in_training_has_no_baseline(s3, tmp_path, baseline):
    publish(packed(tmp_path, baseline=baseline), s3, tmp_path / "m.json")

    found = s3.list_objects_v2(Bucket="pictures", Prefix="models/")["Contents"]
    assert [each["Key"] for each in found] == ["models/scones-12345678/model.tar.gz"]


def test_publishing_the_same_artifact_again_changes_nothing(s3, tmp_path):
    archive, tfvars = packed(tmp_path), tmp_path / "m.json"

    assert publish(archive, s3, tfvars) == publish(archive, s3, tfvars)


def test_another_artifact_under_a_published_name_is_refused(s3, tmp_path):
    first, tfvars = packed(tmp_path / "a"), tmp_path / "m.json"
    publish(first, s3, tfvars)
    before = tfvars.read_text()

    with pytest.raises(PromoteError, match="holds another artifact"):
        publish(packed(tmp_path / "b", b"another network"), s3, tfvars)

    stored = s3.get_object(Bucket="pictures", Key="models/scones-12345678/model.tar.gz")["Body"].read()
    assert stored == first.read_bytes()
    assert tfvars.read_text() == before


@pytest.mark.parametrize("name", ["../escape", "has space", "-leading", "a" * 64, "under_score"])
def test_a_name_that_sagemaker_does_not_take_is_refused(s3, tmp_path, name):
    with pytest.raises(PromoteError, match="name"):
        publish(packed(tmp_path, name=name), s3, tmp_path / "m.json")


def test_former_thresholds_are_listed_newest_first(s3, tmp_path):
    """Those of the models that may still answer."""
    tfvars = tmp_path / "m.json"
    told = [
        publish(packed(tmp_path / name, name.encode(), name=name, threshold=threshold), s3, tfvars)["model"]
        for name, threshold in (("a", 0.95), ("b", 0.96), ("c", 0.97), ("d", 0.98), ("e", 0.99), ("c", 0.97))
    ]

    assert [list(model["former"].items()) for model in told] == [
        [],
        [("a", 0.95)],
        [("b", 0.96), ("a", 0.95)],
        [("c", 0.97), ("b", 0.96), ("a", 0.95)],
        [("d", 0.98), ("c", 0.97), ("b", 0.96)],
        [("e", 0.99), ("d", 0.98), ("b", 0.96)],
    ]


def test_the_current_model_published_again_keeps_who_it_has_replaced(s3, tmp_path):
    tfvars = tmp_path / "m.json"
    publish(packed(tmp_path / "a", name="first"), s3, tfvars)
    second = packed(tmp_path / "b", b"another", name="second")

    assert publish(second, s3, tfvars) == publish(second, s3, tfvars)
    assert registry.current_model(tfvars)["former"] == {"first": 0.93}


@pytest.mark.parametrize(
    "change", [{"labels": ["motorcycle", "bicycle", "neither"]}, {"classes_of_interest": ["bicycle"]}]
)
def test_the_thresholds_of_models_of_other_classes_are_not_kept(s3, tmp_path, change):
    """Its answers mean something else, so they are refused."""
    tfvars = tmp_path / "m.json"
    publish(packed(tmp_path / "a", name="first"), s3, tfvars)

    assert publish(packed(tmp_path / "b", name="second", **change), s3, tfvars)["model"]["former"] == {}


def test_a_model_file_from_before_the_thresholds_of_former_models_is_read(s3, tmp_path):
    tfvars = tmp_path / "m.json"
    first = publish(packed(tmp_path / "a", name="first"), s3, tfvars)["model"]
    del first["former"]
    tfvars.write_text(json.dumps({"model": first}))

    second = publish(packed(tmp_path / "b", b"another", name="second"), s3, tfvars)["model"]
    assert second["former"] == {"first": 0.93}


class Cut(BaseException):
    """What ends a program at any place."""


class Steps:
    """Ends promote at its n-th write, before it or once it is done."""

    def __init__(self, number, done):
        self.number, self.done = number, done

    def around(self, write):
        def step(*arguments, **given):
            self.number -= 1
            if self.number == -1 and not self.done:
                raise Cut
            write(*arguments, **given)
            if self.number == -1:
                raise Cut

        return step


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("step", range(4))
def test_a_promotion_that_was_cut_off_can_be_repeated(s3, tmp_path, monkeypatch, step, done):
    """At any step, and it can be rolled back."""
    monkeypatch.setattr(promotion, "_contest", lambda *_: None)
    destination = registry.Destination("pictures", tmp_path / "m.json", s3)
    first = first_or_next(packed(tmp_path / "a", name="first"), destination).model
    second = packed(tmp_path / "b", b"x", name="second", baseline={"count": 843, "confidence": [0.93] * 11})
    with monkeypatch.context() as patched:
        steps = Steps(step, done)
        patched.setattr(s3, "put_object", steps.around(s3.put_object))
        patched.setattr(registry, "replace_file", steps.around(registry.replace_file))
        with pytest.raises(Cut):
            first_or_next(second, destination)

    current = registry.current_model(destination.tfvars)
    if current == first:
        with pytest.raises(PromoteError, match="was the first model"):
            registry.previous_model(current, destination)
    else:
        assert registry.previous_model(current, destination) == first
    repeated = first_or_next(second, destination).model
    assert repeated == registry.current_model(destination.tfvars)
    assert (repeated["name"], repeated["former"]) == ("second", {"first": 0.93})
    assert registry.previous_model(repeated, destination) == first


def test_a_withdrawn_model_keeps_its_threshold(s3, tmp_path):
    """It still answers for a while."""
    tfvars = tmp_path / "m.json"
    first = publish(packed(tmp_path / "a", name="first", threshold=0.8), s3, tfvars)["model"]
    publish(packed(tmp_path / "b", b"x", name="second", threshold=0.98), s3, tfvars)

    registry.write_model(tfvars, first)

    assert registry.current_model(tfvars) == first | {"former": {"second": 0.98}}


def test_without_an_artifact_nothing_is_promoted(s3, tmp_path):
    with pytest.raises(ArtifactError):
        publish(tmp_path / "missing.tar.gz", s3, tmp_path / "m.json")


def test_a_job_s_output_with_more_than_the_model_is_not_published(s3, tmp_path):
    """SageMaker packs whatever a job leaves in its model folder, and an endpoint unpacks all of it."""
    archive = archive_of(tmp_path / "model.tar.gz", member("code/inference.py", b"import os"))

    for publishing in (
        publish,
        lambda *given: first_or_next(given[0], Destination("pictures", given[2], s3)),
    ):
        with pytest.raises(ArtifactError, match=r"code/inference\.py"):
            publishing(archive, s3, tmp_path / "m.json")

    assert "Contents" not in s3.list_objects_v2(Bucket="pictures")
    assert not (tmp_path / "m.json").exists()


def test_a_failing_upload_leaves_the_model_file_alone(s3, tmp_path):
    with pytest.raises(ClientError):
        publish(packed(tmp_path), s3, tmp_path / "m.json", bucket="missing")
    assert not (tmp_path / "m.json").exists()


def test_reverting_the_model_file_rolls_back(s3, tmp_path):
    """Published artifacts stay."""
    tfvars = tmp_path / "m.json"
    publish(packed(tmp_path / "a", name="first"), s3, tfvars)
    before = tfvars.read_text()
    publish(packed(tmp_path / "b", b"another", name="second"), s3, tfvars)

    tfvars.write_text(before)

    current = registry.current_model(tfvars)
    stored = s3.get_object(Bucket="pictures", Key="models/first/model.tar.gz")["Body"].read()
    assert current["artifact_uri"] == "s3://pictures/models/first/model.tar.gz"
    assert hashlib.sha256(stored).hexdigest() == current["sha256"]


def test_a_first_model_is_adopted_with_a_note(s3, tmp_path):
    destination = Destination("pictures", tmp_path / "m.json", s3)

    done = first_or_next(packed(tmp_path), destination)

    assert done.verdict.adopted
    assert "first model" in done.verdict.notes[0]
    assert done.model["name"] == "scones-12345678"
    record = json.loads(
        s3.get_object(Bucket="pictures", Key="models/scones-12345678/promotion.json")["Body"].read()
    )
    assert record["replaces"] is None


def test_the_model_that_another_one_has_replaced_is_known_whole(s3, tmp_path):
    destination = Destination("pictures", tmp_path / "m.json", s3)
    first = publish(packed(tmp_path), s3, destination.tfvars)["model"]
    next_model = first | {"name": "next"}
    record = json.dumps({"replaces": first, "figures": {}})
    s3.put_object(Bucket="pictures", Key="models/next/promotion.json", Body=record)

    assert registry.previous_model(next_model, destination) == first
    registry.write_model(destination.tfvars, first)
    assert registry.current_model(destination.tfvars) == first


def test_a_rollback_without_a_former_model_is_refused(s3, tmp_path):
    """A first model, an unrecorded one, and one whose artifact is gone cannot be rolled back."""
    destination = Destination("pictures", tmp_path / "m.json", s3)
    first = first_or_next(packed(tmp_path), destination).model
    with pytest.raises(PromoteError, match="was the first model"):
        registry.previous_model(first, destination)
    with pytest.raises(PromoteError, match=r"no models/other/promotion.json.*revert m.json"):
        registry.previous_model(first | {"name": "other"}, destination)

    s3.put_object(Bucket="pictures", Key="models/next/promotion.json", Body=json.dumps({"replaces": first}))
    s3.delete_object(Bucket="pictures", Key="models/scones-12345678/model.tar.gz")
    with pytest.raises(PromoteError, match="the artifact of scones-12345678"):
        registry.previous_model(first | {"name": "next"}, destination)


@pytest.mark.parametrize(("current", "note"), [(None, "first model"), ({"name": "other"}, "knows none of")])
def test_without_answers_to_compare_with_the_floors_decide(tmp_path, current, note):
    candidate = ModelArchive.open(packed(tmp_path))
    labels = ["bicycle", "motorcycle"] * 30
    always_bicycle = np.tile([0.98, 0.01, 0.01], (60, 1))
    new = Predictions(candidate.description, always_bicycle, truth_of(labels, candidate.description))
    pictures = Pictures(np.zeros((60, 32, 32, 3), np.uint8), labels, [None] * 60)

    verdict = promotion.decide(candidate, current, Contest(pictures, new, None))

    assert note in verdict.notes[0]
    assert "not beyond doubt better than guessing" in verdict.refusals[0]
    assert verdict.figures["frozen"]["pictures"] == 60


def test_a_model_that_accepts_nothing_is_refused_even_as_the_first(s3, tmp_path):
    destination = Destination("pictures", tmp_path / "m.json", s3)

    done = first_or_next(packed(tmp_path, threshold=1.0), destination)

    assert not done.verdict.adopted
    assert "threshold is 1" in done.verdict.refusals[0]
    assert not (tmp_path / "m.json").exists()
    assert s3.list_objects_v2(Bucket="pictures")["KeyCount"] == 0


def test_against_a_current_model_a_frozen_set_is_needed(s3, tmp_path):
    destination = Destination("pictures", tmp_path / "m.json", s3)
    publish(packed(tmp_path / "a", name="first"), s3, destination.tfvars)

    with pytest.raises(PromoteError, match="--frozen is needed"):
        first_or_next(packed(tmp_path / "b", b"x", name="second"), destination)


@pytest.mark.parametrize("content", ["", "[]", '{"modle": {}}'])
def test_a_damaged_model_file_is_named_with_what_to_do(tmp_path, content):
    (tmp_path / "m.json").write_text(content)

    with pytest.raises(PromoteError, match="revert or remove"):
        registry.current_model(tmp_path / "m.json")


def test_on_one_machine_the_shipped_model_is_the_first(deployment, tmp_path, monkeypatch):
    stack = LocalStack(tmp_path)
    monkeypatch.setenv("SCONES_STACK_DIR", str(tmp_path))
    monkeypatch.setattr(LocalStack, "deployment", lambda _: deployment)
    publish(packed(tmp_path), deployment.client("s3"), stack.model_file, deployment.bucket)

    result = CliRunner().invoke(app, ["rollback", "--env", "local"])

    assert result.exit_code == 1
    assert "is the first model here: there is none to return to" in result.stderr
