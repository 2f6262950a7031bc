"""What a deployment costs by list prices, and the formula that says so."""

from typing import Any

import pytest

from scripts.operations import prices
from scripts.operations.prices import Volume, estimate

ENDPOINT = [
    {
        "type": "aws_sagemaker_endpoint",
        "address": 'module.endpoint.aws_sagemaker_endpoint.this["classifier"]',
        "values": {"name": "scones-prod-classifier"},
    },
    {
        "type": "aws_sagemaker_endpoint_configuration",
        "address": 'module.endpoint.aws_sagemaker_endpoint_configuration.this["classifier"]',
        "values": {"production_variants": [{"instance_type": "ml.m5.large", "initial_instance_count": 2}]},
    },
]
SCALING = {
    "type": "aws_appautoscaling_target",
    "address": 'module.endpoint.aws_appautoscaling_target.instances["classifier"]',
    "values": {
        "resource_id": "endpoint/scones-prod-classifier/variant/primary",
        "min_capacity": 3,
        "max_capacity": 6,
    },
}
BUCKET = {"type": "aws_s3_bucket", "address": "module.storage.aws_s3_bucket.this", "values": {}}
KEY = {"type": "aws_kms_key", "address": 'module.key["project"].aws_kms_key.this', "values": {}}


def function(folder: str, memory: int, architecture: str = "arm64") -> dict[str, Any]:
    return {
        "type": "aws_lambda_function",
        "address": f'module.function["{folder}"].aws_lambda_function.this',
        "values": {"memory_size": memory, "architectures": [architecture]},
    }


def line(resources: list[dict[str, Any]], item: str, volume: Volume = Volume()) -> prices.Line:  # noqa: B008
    return next(it for it in estimate(resources, "us-east-1", volume).lines if it.item == item)


def test_an_endpoint_costs_its_instances_by_the_hour():
    endpoint = line(ENDPOINT, "Endpoint")
    assert endpoint.formula == "2 x ml.m5.large x 730 h x $0.115"
    assert endpoint.usd == pytest.approx(167.90)


def test_scaling_costs_its_least_number_and_says_the_most():
    scaled = estimate([*ENDPOINT, SCALING], "us-east-1", Volume())
    assert scaled.lines[0].formula.startswith("3 x ml.m5.large")
    assert scaled.notes == ["scaled out to 6 instances the endpoint costs $503.70"]


def test_where_no_endpoint_is_the_sum_says_what_it_leaves_out():
    assert "no endpoint" in estimate([BUCKET, KEY], "us-east-1", Volume()).notes[0]
    assert estimate([BUCKET, KEY, *ENDPOINT], "us-east-1", Volume()).notes == []


def test_an_instance_type_without_a_price_is_said_and_not_guessed():
    other = [
        ENDPOINT[0],
        {
            **ENDPOINT[1],
            "values": {"production_variants": [{"instance_type": "ml.x9.huge", "initial_instance_count": 1}]},
        },
    ]
    done = estimate(other, "us-east-1", Volume())
    assert [it.item for it in done.standing] == []
    assert "no price for ml.x9.huge; add it to prices.json" in done.notes[0]


def test_a_region_without_prices_is_said():
    assert estimate([KEY], "eu-central-1", Volume()).notes == [
        "prices are those of us-east-1: the table has none for eu-central-1"
    ]
    assert estimate([], "eu-central-1", Volume()).notes == []


def test_nothing_costs_nothing():
    assert estimate([], "us-east-1", Volume()).usd == 0


def test_an_alarm_costs_by_the_metrics_that_it_watches():
    """Three dashboards cost nothing."""
    share = {"metric_query": [{"metric": [{}]}, {"metric": [{}]}, {"metric": [], "expression": "a / b"}]}
    kinds = [("aws_cloudwatch_metric_alarm", share), ("aws_cloudwatch_metric_alarm", {"metric_query": []})]
    kinds += [("aws_cloudwatch_dashboard", {})] * 4
    resources = [{"type": kind, "address": f"{kind}.this", "values": values} for kind, values in kinds]
    assert line(resources, "Alarms").formula == "3 x $0.10"
    assert line(resources, "Dashboards").formula == "1 x $3.00"
    assert [it.item for it in estimate(resources[:-1], "us-east-1", Volume()).lines] == ["Alarms"]


def test_without_an_endpoint_pictures_are_only_kept():
    idle = estimate([BUCKET, KEY], "us-east-1", Volume(pictures=1000, megabytes=2))
    assert {it.item for it in idle.lines} == {"Keys", "Pictures kept", "S3 requests"}
    assert next(it.usd for it in idle.pictures) == pytest.approx(0.046)


def test_functions_cost_memory_seconds_and_requests():
    """The seconds are assumed."""
    folders = [function("serialize_image_data", 2048), function("classify_image", 256)]
    functions = line([BUCKET, *ENDPOINT, *folders], "Functions", Volume(pictures=1_000_000))
    gigabyte_seconds = 2 * 0.25 + 0.25 * 0.10
    assert functions.usd == pytest.approx(1e6 * gigabyte_seconds * 0.0000133334 + 3 * 0.20)
    assert "x86" not in functions.formula


def test_drift_checks_cost_by_reads_and_frequency():
    """Each check costs what it reads of a large ledger."""

    def checks(hours: int) -> prices.Line:
        rule = {
            "type": "aws_cloudwatch_event_rule",
            "address": 'module.schedule["drift"].aws_cloudwatch_event_rule.this',
            "values": {"schedule_expression": f"rate({hours} hours)", "state": "ENABLED"},
        }
        return line([rule], "Drift checks")

    assert checks(24).usd == pytest.approx(30 * (64_000 * 0.125e-6 + 17 * 0.00041))
    assert checks(168).usd < checks(24).usd / 6


def test_functions_on_x86_cost_more():
    arm, x86 = (
        line([BUCKET, *ENDPOINT, function("serialize_image_data", 2048, kind)], "Functions").usd
        for kind in ("arm64", "x86_64")
    )
    assert x86 > arm


def test_a_serverless_endpoint_costs_by_picture_and_nothing_when_idle():
    variant = {"instance_type": "", "serverless_config": [{"memory_size_in_mb": 2048, "max_concurrency": 5}]}
    serverless = [ENDPOINT[0], {**ENDPOINT[1], "values": {"production_variants": [variant]}}]
    done = estimate([BUCKET, *serverless], "us-east-1", Volume(pictures=10_000))
    assert done.standing == []
    assert next(it.usd for it in done.pictures if it.item == "Endpoint") == pytest.approx(
        10_000 * 0.1 * 0.00002
    )


def test_twice_the_pictures_cost_twice_but_for_the_metrics():
    once, twice = (
        estimate([BUCKET, *ENDPOINT], "us-east-1", Volume(pictures=count)).pictures for count in (1000, 2000)
    )
    metrics = [it.usd for it in once if it.item == "Metrics"]
    assert sum(it.usd for it in twice) == pytest.approx(2 * sum(it.usd for it in once) - sum(metrics))


def test_every_price_has_a_unit_and_a_page_of_aws_that_says_so():
    for entry in prices.table()["prices"].values():
        assert entry["usd"] > 0
        assert entry["unit"]
        assert entry["source"].startswith("https://aws.amazon.com/")
