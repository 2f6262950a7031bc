"""Publishing an artifact: where it goes, what Terraform is told, and what is refused."""

import json

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.unit.test_artifact import DESCRIPTION
from training_scripts import artifact, promote
from training_scripts.artifact import ArtifactError
from training_scripts.promote import PromoteError

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/scones@sha256:" + "0" * 64


@pytest.fixture
def s3(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="pictures")
        yield client


def packed(folder, network=b"network", **change):
    artifact.write(folder, DESCRIPTION | change, network)
    return artifact.pack(folder)


def publish(archive, s3, tfvars, bucket="pictures"):
    return promote.publish(archive, bucket=bucket, image_uri=IMAGE, tfvars=tfvars, s3_client=s3)


def test_the_artifact_lies_in_the_bucket_and_terraform_is_told_all_it_needs(s3, tmp_path):
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
            }
        }
    )


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


def test_no_artifact_is_no_promotion(s3, tmp_path):
    with pytest.raises(ArtifactError):
        publish(tmp_path / "missing.tar.gz", s3, tmp_path / "m.json")


def test_a_failing_upload_tells_terraform_nothing(s3, tmp_path):
    with pytest.raises(ClientError):
        publish(packed(tmp_path), s3, tmp_path / "m.json", bucket="missing")
    assert not (tmp_path / "m.json").exists()
