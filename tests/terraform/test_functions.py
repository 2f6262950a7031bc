"""What Terraform tells the functions, and which plan shows it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

COMMON = {"POWERTOOLS_LOG_LEVEL", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_SERVICE_NAME"}


@pytest.fixture
def environments(planned: Callable[..., Any]) -> Callable[[dict[str, Any]], dict[str, dict[str, str]]]:
    def by_folder(plan: dict[str, Any]) -> dict[str, dict[str, str]]:
        return {
            address.split('"')[1]: after["environment"][0]["variables"]
            for address, after in planned(plan).items()
            if address.endswith("aws_lambda_function.this")
        }

    return by_folder


def test_the_models_facts_reach_the_functions_that_use_them(
    provisioned: dict[str, Any], environments: Callable[..., Any]
) -> None:
    functions = environments(provisioned)
    assert functions["serialize_image_data"]["INPUT_SIZE"] == "32"
    assert functions["serialize_image_data"]["BUCKET"] == "scones-prod-123456789012-us-east-1"
    assert functions["classify_image"]["ENDPOINT_NAME"] == "scones-prod-classifier"
    assert json.loads(functions["classify_image"]["LABELS"]) == ["bicycle", "motorcycle", "neither"]
    assert json.loads(functions["filter_inferences"]["CLASSES_OF_INTEREST"]) == ["bicycle", "motorcycle"]
    assert functions["filter_inferences"]["LABELS"] == functions["classify_image"]["LABELS"]
    assert json.loads(functions["filter_inferences"]["THRESHOLDS"]) == {"bikes": 0.93}
    assert functions["send_alert"]["TOPIC_ARN"] == "arn:aws:sns:us-east-1:123456789012:scones-prod-alerts"
    assert functions["send_alert"]["ENVIRONMENT"] == "scones-prod"


def test_without_a_model_its_facts_are_not_made_up(
    without_model: dict[str, Any], environments: Callable[..., Any]
) -> None:
    """The functions then fail as Misconfigured, with the variable's name."""
    functions = environments(without_model)
    assert set(functions["filter_inferences"]) == COMMON
    assert set(functions["classify_image"]) == COMMON | {"ENDPOINT_NAME"}
    assert set(functions["serialize_image_data"]) == COMMON | {"BUCKET"}


def test_a_threshold_of_ones_own_wins_over_the_models(
    development: dict[str, Any], organisation: dict[str, Any], environments: Callable[..., Any]
) -> None:
    assert json.loads(environments(development)["filter_inferences"]["THRESHOLDS"]) == {"bikes": 0.93}
    assert json.loads(environments(organisation)["filter_inferences"]["THRESHOLDS"]) == {
        "bikes": 0.97,
        "trikes": 0.97,
    }


def test_each_model_that_may_still_answer_keeps_its_own_threshold(
    root_module: Any, model: Callable[..., Any], environments: Callable[..., Any]
) -> None:
    plan = root_module.plan("dev", model=model(former={"trikes": 0.98, "wheels": 0.8}))
    thresholds = json.loads(environments(plan)["filter_inferences"]["THRESHOLDS"])
    assert thresholds == {"bikes": 0.93, "trikes": 0.98, "wheels": 0.8}


def test_the_endpoint_waits_for_the_functions_new_threshold(
    provisioned: dict[str, Any],
) -> None:
    call = provisioned["configuration"]["root_module"]["module_calls"]["endpoint"]
    endpoint = next(it for it in call["module"]["resources"] if it["type"] == "aws_sagemaker_endpoint")
    assert "var.answers_judged_by" in endpoint["depends_on"]
    assert (
        'module.function["filter_inferences"].alias' in call["expressions"]["answers_judged_by"]["references"]
    )


def test_functions_log_as_json_into_their_own_group_and_are_traced(
    provisioned: dict[str, Any], planned: Callable[..., Any]
) -> None:
    resources = planned(provisioned)
    functions = [
        after for address, after in resources.items() if address.endswith("aws_lambda_function.this")
    ]
    assert len(functions) == 5
    for function in functions:
        logging = function["logging_config"][0]
        assert (logging["log_format"], logging["log_group"]) == (
            "JSON",
            f"/aws/lambda/{function['function_name']}",
        )
        assert function["tracing_config"] == [{"mode": "Active"}]
        assert (function["runtime"], function["architectures"]) == ("python3.13", ["arm64"])
    groups = [after for address, after in resources.items() if "aws_cloudwatch_log_group" in address]
    assert {group["retention_in_days"] for group in groups} == {365}
