"""Errors say the value, the reason and what to do next: one failing example for every validation."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.common import paths

# Terraform reports all mistakes at once, so a few plans fail by every rule.
MISTAKES: dict[str, dict[str, Any]] = {
    "everything wrong": {
        "environment": "Dev",
        "project": "Scones",
        "region": "virginia",
        "model": {
            "name": "bikes;labels=1",
            "artifact_uri": "models/model.tar.gz",
            "sha256": "abc",
            "image_uri": "serving:latest",
            "labels": ["a", "a"],
            "classes_of_interest": ["c"],
            "threshold": 93,
            "input_size": 32.5,
            "former": {"trikes": 98},
        },
        "threshold": 93,
        "endpoint": {
            "instance_type": "m5.large",
            "instance_count": 0,
            "scaling": {"min": 0, "max": 2, "target": 100},
            "serverless": {"memory_mb": 2000, "max_concurrency": 5},
            "capture_percentage": 101,
            "blue_green": {"traffic": "canary", "percent": 80, "wait_seconds": 60},
        },
        "training_image_uri": "pytorch:latest",
        "subscribers": {"nobody": ["sytem"]},
        "schedules": {"digest_hours": 0.5, "drift_hours": 300, "stale_after_hours": 200},
        "runbook_url": "https://example.com/operations#top",
        "log_retention_days": 31,
        "ledger_retention_days": 0,
        "existing_key_arn": "alias/mine",
        "permissions_boundary_arn": "boundary",
        "package_dir": "./environments",
    },
    # Terraform checks a rule that reads another variable only when that variable is right.
    "a reserved name, a Graviton type, and a budget that nobody hears of": {
        "environment": "plan",
        "endpoint": {"instance_type": "ml.m8g.large"},
        "monthly_budget_usd": 0,
        "subscribers": {"a@example.com": ["system"]},
    },
    "a burstable type that scales, and a budget that too many hear of": {
        "endpoint": {"instance_type": "ml.t2.medium", "scaling": {"min": 1, "max": 2, "target": 100}},
        "monthly_budget_usd": 50,
        "subscribers": {f"person-{number}@example.com": ["alarm"] for number in range(11)},
    },
}

# One example for each validation, in the order of variables.tf: (variable, mistake, what the message says).
EXAMPLES = [
    ("environment", "everything wrong", ['environment is "Dev"', "bucket and endpoint names", "-var-file="]),
    (
        "environment",
        "a reserved name, a Graviton type, and a budget that nobody hears of",
        ['environment is "plan"', "reserved", "choose another name"],
    ),
    (
        "project",
        "everything wrong",
        ['project is "Scones"', "bucket and endpoint names", "lower-case letters"],
    ),
    ("region", "everything wrong", ['region is "virginia"', "not a region name", "aws account list-regions"]),
    (
        "model",
        "everything wrong",
        ['model.artifact_uri is "models/model.tar.gz"', "from S3", "scones promote"],
    ),
    (
        "model",
        "everything wrong",
        ['model.sha256 is "abc"', "name the deployed model", "sha256sum model.tar.gz"],
    ),
    ("model", "everything wrong", ['model.image_uri is "serving:latest"', "a moved tag", "scones image"]),
    ("model", "everything wrong", ['model.labels is ["a","a"]', "each once", "model.json"]),
    (
        "model",
        "everything wrong",
        ['classes_of_interest is ["c"]', "could ever be accepted", 'labels ["a","a"]'],
    ),
    ("model", "everything wrong", ["model.threshold is 93", "probability", "above 0 and at most 1"]),
    ("model", "everything wrong", ['model.name is "bikes;labels=1"', "with each answer", "model.json"]),
    ("model", "everything wrong", ['model.former is {"trikes":98}', "probability", "scones rollback"]),
    ("model", "everything wrong", ["model.input_size is 32.5", "256 KiB", "8 to 240 pixels"]),
    ("threshold", "everything wrong", ["threshold is 93", "probability", "(0.93, not 93)"]),
    ("endpoint", "everything wrong", ['instance_type is "m5.large"', "SageMaker's names", "ml.m5.large"]),
    (
        "endpoint",
        "a reserved name, a Graviton type, and a budget that nobody hears of",
        ['instance_type is "ml.m8g.large"', "linux/amd64", "use ml.m5.large"],
    ),
    ("endpoint", "everything wrong", ["instance_count is 0", "whole number", "enabled = false"]),
    ("endpoint", "everything wrong", ['scaling is {"max":2,"min":0', "to zero", "1 <= min <= max"]),
    (
        "endpoint",
        "a burstable type that scales, and a budget that too many hear of",
        ['"ml.t2.medium"', "does not scale", "scaling = null"],
    ),
    (
        "endpoint",
        "everything wrong",
        ["endpoint.scaling and endpoint.serverless", "scales by itself", "remove scaling"],
    ),
    ("endpoint", "everything wrong", ['"memory_mb":2000', "must be", "1024, 2048, 3072"]),
    ("endpoint", "everything wrong", ["capture_percentage is 101", "percent", "0 (off) to 100"]),
    (
        "endpoint",
        "everything wrong",
        ["endpoint.serverless is set", "captures no data", "set capture_percentage = 0"],
    ),
    ("endpoint", "everything wrong", ['"percent":80', "10 to 50 percent", 'as "all_at_once"']),
    ("training_image_uri", "everything wrong", ['is "pytorch:latest"', "from ECR", "set it to null"]),
    (
        "subscribers",
        "everything wrong",
        ['subscribers names ["nobody"]', "e-mail address", "each key must be"],
    ),
    (
        "subscribers",
        "everything wrong",
        ['"sytem"', "never be delivered", "needs at least one of low_confidence"],
    ),
    ("schedules", "everything wrong", ['"digest_hours":0.5', "whole hours", "a month"]),
    ("schedules", "everything wrong", ["drift_hours is 300", "a week at most", "up to 168"]),
    ("schedules", "everything wrong", ["stale_after_hours is 200", "a week at most", "null"]),
    (
        "monthly_budget_usd",
        "a reserved name, a Graviton type, and a budget that nobody hears of",
        ["monthly_budget_usd is 0", "above 0", "make plan"],
    ),
    (
        "monthly_budget_usd",
        "a reserved name, a Graviton type, and a budget that nobody hears of",
        ["nobody in subscribers", "reach nobody", "add the category"],
    ),
    (
        "monthly_budget_usd",
        "a burstable type that scales, and a budget that too many hear of",
        ["more than ten addresses in subscribers", "ten addresses at most", "a mailing list's address"],
    ),
    ("runbook_url", "everything wrong", ["operations#top", "adds its own section", 'without "#..."']),
    (
        "log_retention_days",
        "everything wrong",
        ["log_retention_days is 31", "does not offer", "use 1, 3, 5, 7"],
    ),
    (
        "ledger_retention_days",
        "everything wrong",
        ["ledger_retention_days is 0", "whole number", "1 or more"],
    ),
    ("existing_key_arn", "everything wrong", ['is "alias/mine"', "not of an alias", "aws kms describe-key"]),
    (
        "permissions_boundary_arn",
        "everything wrong",
        ['is "boundary"', "ARN of an IAM policy", "aws iam list-policies"],
    ),
    (
        "package_dir",
        "everything wrong",
        ['package_dir is "./environments"', "missing", "run `make package` first"],
    ),
]


def validations() -> Counter[str]:
    """How many validations each variable has."""
    text = (paths.TERRAFORM / "variables.tf").read_text(encoding="utf-8")
    blocks = re.split(r'^variable "', text, flags=re.MULTILINE)[1:]
    counts = {
        block.split('"')[0]: len(re.findall(r"^  validation \{", block, re.MULTILINE)) for block in blocks
    }
    return Counter({name: count for name, count in counts.items() if count})


def test_every_validation_has_an_example() -> None:
    assert Counter(variable for variable, _, _ in EXAMPLES) == validations()


@pytest.mark.parametrize(("variable", "mistake", "words"), EXAMPLES)
def test_a_refused_value_gets_the_reason_and_a_way_out(
    variable: str, mistake: str, words: list[str], root_module: Any, model: Callable[..., Any]
) -> None:
    message = root_module.refusal("dev", **{"model": model(), **MISTAKES[mistake]})
    own = [
        error
        for error in message.split("Error: ")
        if f"var.{variable} " in error or f"var.{variable}." in error
    ]
    assert [error for error in own if all(word in error for word in words)], own or message


def test_missing_packages_say_what_to_run(root_module: Any, packages: Path, tmp_path: Path) -> None:
    for path in packages.iterdir():
        if path.name != "send_alert.zip":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    message = root_module.refusal("dev", package_dir=str(tmp_path))
    assert f'"{tmp_path}"' in message
    assert "run `make package` first" in message


def test_an_artifact_that_the_endpoint_could_not_read_is_refused(
    root_module: Any, model: Callable[..., Any]
) -> None:
    message = root_module.refusal("dev", model=model(artifact_uri="s3://elsewhere/models/bikes/model.tar.gz"))
    assert "the endpoint may only read s3://scones-dev-123456789012-us-east-1/models/" in message
    assert "scones promote" in message
