"""The gate with whole models: both serving programs answer the frozen pictures before the model file changes."""

import builtins
import io
import json

import boto3
import pytest
from moto import mock_aws

from scripts.models import promotion, registry
from scripts.models.archive import ModelArchive
from scripts.models.registry import Destination, PromoteError
from tests.functional.conftest import SHIPPED
from training_scripts import artifact

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/scones@sha256:" + "0" * 64


@pytest.fixture
def destination(monkeypatch, tmp_path):
    """A bucket and a model file that names the shipped model."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="pictures")
        to = Destination("pictures", tmp_path / "dev.model.tfvars.json", client)
        registry.write_model(to.tfvars, registry.publish(ModelArchive.open(SHIPPED), IMAGE, to))
        yield to


def attempt(candidate, destination, frozen, *, new_classes=False):
    shares = []
    done = promotion.promote(
        candidate,
        IMAGE,
        destination,
        frozen=frozen,
        new_classes=new_classes,
        progress=lambda _, share: shares.append(share),
    )
    assert all(0 <= share <= 1 for share in shares)
    return done


def test_an_equal_model_is_adopted_with_its_frozen_set(variant, destination, frozen):
    """The promotion's record names the frozen set."""
    done = attempt(variant("twin"), destination, frozen)

    assert done.verdict.adopted, done.verdict.refusals
    assert json.loads(destination.tfvars.read_text())["model"]["name"] == "twin"
    body = destination.s3_client.get_object(Bucket="pictures", Key="models/twin/promotion.json")[
        "Body"
    ].read()
    record = json.loads(body)
    assert record["replaces"]["sha256"] == artifact.sha256(SHIPPED)
    assert record["figures"]["frozen"]["pictures"] == 120
    assert len(record["figures"]["frozen"]["sha256"]) == 64
    assert record["figures"]["right answers"]["lost"] == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"labels": ["motorcycle", "bicycle", "neither"]}, "right answers"),
        ({"labels": ["neither", "motorcycle", "bicycle"]}, "accepted wrongly"),
        ({"temperature": 5.0}, "coverage falls"),
    ],
)
def test_a_worse_model_is_refused_and_changes_nothing(variant, destination, frozen, change, reason):
    before = destination.tfvars.read_text()

    done = attempt(variant("worse", **change), destination, frozen)

    assert not done.verdict.adopted
    assert any(reason in refusal for refusal in done.verdict.refusals)
    assert destination.tfvars.read_text() == before
    keys = [item["Key"] for item in destination.s3_client.list_objects_v2(Bucket="pictures")["Contents"]]
    assert not [key for key in keys if "worse" in key]


def test_promoting_opens_the_archive_once(variant, destination, frozen, monkeypatch):
    candidate = variant("once")
    opened = []

    def counting(real):
        def open_(file, *arguments, **given):
            opened.append(file)
            return real(file, *arguments, **given)

        return open_

    monkeypatch.setattr(io, "open", counting(io.open))
    monkeypatch.setattr(builtins, "open", counting(builtins.open))

    assert attempt(candidate, destination, frozen).verdict.adopted
    assert opened.count(candidate) == 1


def test_promoting_the_current_model_changes_nothing(destination):
    """And it needs no pictures."""
    before = destination.tfvars.read_text()

    done = attempt(SHIPPED, destination, None)

    assert done.verdict.notes == ["it is the current model: nothing to compare"]
    assert destination.tfvars.read_text() == before


def test_another_frozen_set_than_last_time_is_noted(variant, destination, frozen, tmp_path):
    attempt(variant("second"), destination, frozen)
    assert attempt(variant("third"), destination, frozen).verdict.notes == []
    (tmp_path / "other" / "test").mkdir(parents=True)
    for label in ("bicycle", "motorcycle"):
        (tmp_path / "other" / "test" / label).symlink_to(frozen / "test" / label)

    done = attempt(variant("fourth"), destination, tmp_path / "other")

    assert done.verdict.adopted
    assert done.verdict.notes == ["the current model was judged on another frozen set"]


def test_other_classes_are_an_error_unless_they_are_meant(variant, destination, frozen):
    other = variant("other", labels=["scooter", "motorcycle", "neither"], classes_of_interest=["motorcycle"])

    with pytest.raises(PromoteError, match="--new-classes"):
        attempt(other, destination, frozen)


def test_a_current_model_that_was_lost_or_replaced_is_an_error(variant, destination, frozen):
    model = registry.current_model(destination.tfvars)
    key = model["artifact_uri"].removeprefix("s3://pictures/")
    destination.s3_client.put_object(Bucket="pictures", Key=key, Body=b"replaced")
    with pytest.raises(PromoteError, match="is not the artifact"):
        attempt(variant("next"), destination, frozen)

    destination.s3_client.delete_object(Bucket="pictures", Key=key)
    with pytest.raises(PromoteError, match="is not there"):
        attempt(variant("next"), destination, frozen)
