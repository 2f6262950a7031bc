"""scones verify: a deployment that is what was asked for, and a canary that leaves nothing behind.

An update that SageMaker has rolled back: tests/end_to_end/test_promotion.py.
"""

import json

import pytest

from scripts.common.progress import silent
from scripts.operations import verify
from scripts.operations.check import FAILED, OK


@pytest.fixture
def traces(stack, workflow):
    """What is left of canaries: object versions, rows, alerts."""

    def find():
        bucket = workflow.deployment.bucket
        listed = workflow.s3.list_object_versions(Bucket=bucket, Prefix=verify.CANARIES)
        rows = [row["picture"] for row in workflow.ledger.all() if verify.CANARIES in row["picture"]]
        alerts = [it["subject"] for it in stack.outbox() if verify.CANARIES in it["message"]]
        return [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])], rows, alerts

    return find


def test_a_fresh_deployment_holds_and_the_canary_leaves_nothing(scones, traces):
    *_, alerts = traces()

    result = scones("verify", "--json")

    assert result.exit_code == 0, result.stdout
    done = {check["what"]: check["state"] for check in json.loads(result.stdout)["checks"]}
    assert done == dict.fromkeys(("endpoint", "canary", "subscriptions", "alarms", "plan"), OK)
    assert traces() == ([], [], alerts)


def test_a_doubtful_canary_passes_and_mentions_its_alert(workflow, doubtful, traces):
    """A doubtful verdict shows that everything works."""
    with verify.canary(workflow, doubtful, silent) as check:
        pass

    assert check.state == OK
    assert "an alert went out" in check.why
    versions, rows, alerts = traces()
    assert (versions, rows) == ([], [])
    assert alerts


def test_a_canary_without_a_verdict_fails(workflow, bicycle, traces):
    """With the error, and it leaves nothing behind."""
    bicycle.write_bytes(bicycle.read_bytes()[:500])

    with verify.canary(workflow, bicycle, silent) as check:
        pass

    assert check.state == FAILED
    assert check.why.startswith("REJECTED: ImageRejected")
    assert traces()[:2] == ([], [])
