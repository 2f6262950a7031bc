"""What happens to a running deployment when something changes, by the real provider on a saved state.

The cases are plans/upgrades.yaml. Actions come from `plan -json`
(https://developer.hashicorp.com/terraform/internals/machine-readable-ui).
"""

import copy
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from saved_state import applied

from scripts.common import paths
from scripts.operations import plan_markdown
from scripts.operations.plan import broken_rules
from scripts.operations.plan_summary import Summary, summarise
from scripts.operations.prices import Volume

PLANS = Path(__file__).parent / "plans"
UPGRADES = yaml.safe_load((PLANS / "upgrades.yaml").read_text(encoding="utf-8"))
ENDPOINT = 'module.endpoint.aws_sagemaker_endpoint.this["classifier"]'
# The settings of environments/prod.tfvars, which an input for `endpoint` replaces as a whole.
HOSTING = {
    "instance_type": "ml.m5.large",
    "instance_count": 2,
    "scaling": {"min": 2, "max": 6, "target": 6000},
    "blue_green": {"traffic": "canary", "percent": 50, "wait_seconds": 300},
}


@pytest.fixture(scope="session")
def inputs(expected_plans: dict[str, dict[str, Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Production's inputs with changes, one level deep."""
    base = expected_plans["prod"]["inputs"] | {"endpoint": HOSTING, "schedules": {}, "tags": {}}

    def change(changes: dict[str, Any]) -> dict[str, Any]:
        return base | {
            name: base[name] | value if isinstance(value, dict) else value for name, value in changes.items()
        }

    return change


@pytest.fixture(scope="session")
def prod(root_module: Any, provisioned: dict[str, Any], inputs: Callable[..., Any]) -> dict[str, Any]:
    """The state of the applied production deployment."""
    return applied(root_module.plan("prod", applied(provisioned), **inputs({})))


@pytest.fixture(scope="session")
def switched_off(root_module: Any, prod: dict[str, Any], inputs: Callable[..., Any]) -> dict[str, Any]:
    """The plan that takes the endpoint away."""
    return root_module.plan("prod", prod, **inputs({"endpoint": {"enabled": False}}))


@pytest.fixture(scope="session")
def states(prod: dict[str, Any], switched_off: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the upgrades start from, by name."""
    definitions = json.loads((PLANS / "former_state_machines.json").read_text(encoding="utf-8"))
    former = copy.deepcopy(prod)
    for resource in former["resources"]:
        if resource["type"] == "aws_sfn_state_machine":
            (instance,) = resource["instances"]
            instance["attributes"]["definition"] = json.dumps(definitions[resource["module"]])
    return {"applied": prod, "without an endpoint": applied(switched_off), "former state machines": former}


@pytest.fixture(scope="session")
def upgrades(
    root_module: Any,
    packages: Path,
    states: dict[str, dict[str, Any]],
    inputs: Callable[..., Any],
) -> dict[str, dict[str, str]]:
    """The actions of every case: {case: {address: action}}."""

    def actions(case: dict[str, Any]) -> dict[str, str]:
        state = states[case.get("from", "applied")]
        done = root_module.make_plan("prod", inputs(case.get("inputs", {})), "-json", state=state)
        messages = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 0, [it["@message"] for it in messages if it["@level"] == "error"]
        changes = [it["change"] for it in messages if it["type"] == "planned_change"]
        return {change["resource"]["addr"]: change["action"] for change in changes}

    quiet = {name: case for name, case in UPGRADES.items() if "code" not in case}
    with ThreadPoolExecutor(2) as pool:
        done = dict(zip(quiet, pool.map(actions, quiet.values()), strict=True))
    for name, case in UPGRADES.items():
        if "code" in case:
            package = packages / f"{case['code']}.zip"
            former = package.read_bytes()
            package.write_bytes(b"new code")
            done[name] = actions(case)
            package.write_bytes(former)
    return done


def test_an_applied_deployment_has_an_empty_plan(
    root_module: Any, prod: dict[str, Any], inputs: Callable[..., Any]
) -> None:
    """Or the state that the upgrades start from would not be what an apply leaves."""
    done = root_module.make_plan("prod", inputs({}), "-detailed-exitcode", state=prod)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", UPGRADES)
def test_upgrade(name: str, upgrades: dict[str, dict[str, str]]) -> None:
    expected, actual = UPGRADES[name], upgrades[name]
    if "any" in expected:
        ((action, least),) = expected["any"].items()
        assert set(actual.values()) == {action}
        assert len(actual) >= least
    else:
        assert actual == expected["actions"]


@pytest.fixture(scope="session")
def replaced(root_module: Any, prod: dict[str, Any], inputs: Callable[..., Any]) -> Summary:
    """The summary of a change that SageMaker cannot make on a running endpoint."""
    serverless = {"serverless": {"memory_mb": 2048, "max_concurrency": 5}, "capture_percentage": 0}
    plan = root_module.plan("prod", prod, **inputs({"endpoint": serverless | {"scaling": None}}))
    return summarise(plan, "prod", "the state of prod", Volume(), broken_rules(plan))


def test_a_replaced_endpoint_stands_out_with_what_forces_it(replaced: Summary) -> None:
    assert [(it.address, it.action, it.precious) for it in replaced.dangers] == [
        (ENDPOINT, "replace", "endpoint")
    ]
    assert "replace_triggered_by" in replaced.dangers[0].why
    configuration = next(it for it in replaced.changes if "endpoint_configuration" in it.address)
    assert "production_variants" in configuration.forced_by


def test_the_projects_rules_hold_for_a_change_as_for_a_first_apply(
    replaced: Summary, switched_off: dict[str, Any], without_model: dict[str, Any]
) -> None:
    assert replaced.broken == broken_rules(switched_off) == broken_rules(without_model) == []


def test_another_accounts_plan_is_checked_by_its_own_names(
    provisioned: dict[str, Any],
) -> None:
    text = json.dumps(provisioned)
    for usual, other in (
        ("123456789012", "210987654321"),
        ("us-east-1", "eu-west-1"),
        ("scones-prod-", "bikes-prod-"),
        ('"scones-prod"', '"bikes-prod"'),
    ):
        text = text.replace(usual, other)
    assert broken_rules(json.loads(text)) == []
    weak = text.replace("aws:SecureTransport", "aws:SecureTransports")
    assert any(it.startswith("plain_http_is_denied") for it in broken_rules(json.loads(weak)))


def test_a_taken_away_endpoint_stands_out_and_saves_its_hours(switched_off: dict[str, Any]) -> None:
    done = summarise(switched_off, "prod", "the state of prod", Volume(), [])
    assert [(it.address, it.why) for it in done.dangers] == [(ENDPOINT, "its key is no longer in for_each")]
    before = {line.item: line.usd for line in done.cost.before.lines}
    assert before["Endpoint"] == pytest.approx(2 * 730 * 0.115)
    assert done.cost.difference < -before["Endpoint"]
    assert done.cost.after.usd < 3


def test_the_example_in_the_docs_is_what_the_command_prints(replaced: Summary) -> None:
    page = paths.ROOT / "docs" / "plans.md"
    text = page.read_text(encoding="utf-8")
    begin, end = "<!-- example: begin -->\n", "<!-- example: end -->"
    head, _, rest = text.partition(begin)
    example, _, tail = rest.partition(end)
    summary = plan_markdown.summary(replaced)
    if os.environ.get("SCONES_WRITE_EXAMPLES"):
        page.write_text(f"{head}{begin}{summary}{end}{tail}", encoding="utf-8")
    else:
        assert example == summary, "write it anew: SCONES_WRITE_EXAMPLES=1 pytest tests/terraform -k docs"
