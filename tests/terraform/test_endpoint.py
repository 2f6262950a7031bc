"""How a model is rolled out: what a plan shows, and which changes give new names."""

from collections.abc import Callable
from typing import Any

import pytest

MODEL = 'module.endpoint.aws_sagemaker_model.this["classifier"]'
CONFIGURATION = 'module.endpoint.aws_sagemaker_endpoint_configuration.this["classifier"]'
ENDPOINT = 'module.endpoint.aws_sagemaker_endpoint.this["classifier"]'


@pytest.fixture
def renamed(
    development: dict[str, Any], planned: Callable[..., Any]
) -> Callable[[dict[str, Any]], dict[str, bool]]:
    """Whether model, configuration and endpoint are named otherwise than in `development`."""

    def compare(plan: dict[str, Any]) -> dict[str, bool]:
        before, after = planned(development), planned(plan)
        places = {"model": MODEL, "configuration": CONFIGURATION, "endpoint": ENDPOINT}
        return {what: before[address]["name"] != after[address]["name"] for what, address in places.items()}

    return compare


@pytest.mark.parametrize("changed", ["development_with_another_artifact", "organisation"])
def test_another_artifact_or_image_names_model_and_configuration_anew(
    changed: str, renamed: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    plan = request.getfixturevalue(changed)
    assert renamed(plan) == {"model": True, "configuration": True, "endpoint": False}


def test_another_way_of_hosting_names_only_the_configuration_anew(
    development_hosted_otherwise: dict[str, Any], renamed: Callable[..., Any]
) -> None:
    """And another threshold names nothing anew."""
    assert renamed(development_hosted_otherwise) == {"model": False, "configuration": True, "endpoint": False}


def test_requests_and_answers_are_captured_encrypted(
    provisioned: dict[str, Any], planned: Callable[..., Any]
) -> None:
    capture = planned(provisioned)[CONFIGURATION]["data_capture_config"][0]
    assert capture["enable_capture"] is True
    assert capture["initial_sampling_percentage"] == 100
    assert capture["destination_s3_uri"] == "s3://scones-prod-123456789012-us-east-1/capture"
    assert [option["capture_mode"] for option in capture["capture_options"]] == ["Input", "Output"]
    unknown = next(
        change["change"]["after_unknown"]
        for change in provisioned["resource_changes"]
        if change["address"] == CONFIGURATION
    )
    assert unknown["data_capture_config"][0]["kms_key_id"] is True  # the key's, known once it exists
    assert unknown["kms_key_arn"] is True


def test_a_serverless_endpoint_has_no_instances_and_no_capture(
    serverless: dict[str, Any], planned: Callable[..., Any]
) -> None:
    configuration = planned(serverless)[CONFIGURATION]
    variant = configuration["production_variants"][0]
    assert (variant["instance_type"], variant["serverless_config"][0]["memory_size_in_mb"]) == (None, 2048)
    assert configuration["data_capture_config"] == []


def test_a_type_with_a_disk_of_its_own_gets_no_key_for_the_volume(
    development_hosted_otherwise: dict[str, Any], planned: Callable[..., Any]
) -> None:
    """SageMaker refuses one: the disk encrypts by itself."""
    unknown = next(
        change["change"]["after_unknown"]
        for change in development_hosted_otherwise["resource_changes"]
        if change["address"] == CONFIGURATION
    )
    assert not unknown.get("kms_key_arn")
    assert planned(development_hosted_otherwise)[CONFIGURATION]["kms_key_arn"] is None
