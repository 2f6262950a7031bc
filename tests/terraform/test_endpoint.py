"""How a model is hosted. Which change does what to a running endpoint: test_upgrades.py."""

from collections.abc import Callable
from typing import Any

CONFIGURATION = 'module.endpoint.aws_sagemaker_endpoint_configuration.this["classifier"]'
ENDPOINT = 'module.endpoint.aws_sagemaker_endpoint.this["classifier"]'


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
    organisation: dict[str, Any], planned: Callable[..., Any]
) -> None:
    """SageMaker refuses one: the disk encrypts itself."""
    assert planned(organisation)[CONFIGURATION]["kms_key_arn"] is None


def traffic_of(deployment: dict[str, Any]) -> dict[str, Any]:
    """How an update moves the traffic to the new instances."""
    return deployment["blue_green_update_policy"][0]["traffic_routing_configuration"][0]


def test_updates_may_move_the_traffic_step_by_step(
    provisioned: dict[str, Any], development: dict[str, Any], planned: Callable[..., Any]
) -> None:
    deployment = planned(provisioned)[ENDPOINT]["deployment_config"][0]
    traffic = traffic_of(deployment)
    assert (traffic["type"], traffic["wait_interval_in_seconds"]) == ("CANARY", 300)
    assert (traffic["canary_size"], traffic["linear_step_size"]) == (
        [{"type": "CAPACITY_PERCENT", "value": 50}],
        [],
    )
    # A change of it would replace the endpoint.
    assert deployment["auto_rollback_configuration"] == []
    assert planned(development)[ENDPOINT]["deployment_config"] == []


def test_updates_may_move_the_traffic_all_at_once(
    root_module: Any, model: Callable[..., Any], planned: Callable[..., Any]
) -> None:
    """The way back from a canary: with null, SageMaker would keep the canary and every plan would show it."""
    plan = root_module.plan("dev", model=model(), endpoint={"blue_green": {"traffic": "all_at_once"}})
    assert traffic_of(planned(plan)[ENDPOINT]["deployment_config"][0]) == {
        "type": "ALL_AT_ONCE",
        "wait_interval_in_seconds": 0,
        "canary_size": [],
        "linear_step_size": [],
    }
