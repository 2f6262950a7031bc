"""Errors say the value, the reason and what to do next."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_missing_packages_say_what_to_run(root_module: Any, packages: Path, tmp_path: Path) -> None:
    for path in packages.iterdir():
        if path.name != "send_alert.zip":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    message = root_module.refusal("dev", package_dir=str(tmp_path))
    assert f'"{tmp_path}"' in message
    assert "run `make package` first" in message


def test_several_mistakes_are_told_at_once_each_with_its_value_and_a_way_out(
    root_module: Any, model: Callable[..., Any]
) -> None:
    message = root_module.refusal(
        "dev",
        model=model(image_uri="serving:latest"),
        project="Scones",
        threshold=93,
        log_retention_days=31,
        existing_key_arn="alias/mine",
        subscribers={"someone@example.com": ["sytem"]},
        endpoint={"serverless": {"memory_mb": 2048, "max_concurrency": 5}},
    )
    assert 'project is "Scones"' in message
    assert "threshold is 93: it is a probability above 0 and at most 1 (0.93, not 93)" in message
    assert "log_retention_days is 31, which CloudWatch Logs does not offer: use 1, 3, 5, 7, 14, 30" in message
    assert 'existing_key_arn is "alias/mine": give the ARN of a key' in message
    assert '"sytem"' in message
    assert 'model.image_uri is "serving:latest"' in message
    assert "push one with: scones image" in message
    assert "set capture_percentage = 0, or remove serverless" in message


def test_an_artifact_that_the_endpoint_could_not_read_is_refused(
    root_module: Any, model: Callable[..., Any]
) -> None:
    message = root_module.refusal("dev", model=model(artifact_uri="s3://elsewhere/models/bikes/model.tar.gz"))
    assert "the endpoint may only read s3://scones-dev-123456789012-us-east-1/models/" in message
    assert "scones promote" in message
