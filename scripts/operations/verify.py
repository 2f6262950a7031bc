"""Checks that what runs is what was asked for: the checklist of `scones verify`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scripts.common.progress import Progress, silent
from scripts.deployment.outputs import Deployment, found
from scripts.operations import plan_summary
from scripts.operations.check import FAILED, OK, SKIPPED, Check, subscriptions
from scripts.operations.environment import Environment
from scripts.workflow.bucket_layout import Picture
from scripts.workflow.client import Workflow
from scripts.workflow.forget import Forgetting
from scripts.workflow.ledger import Row
from training_scripts.synthetic import generator

# Under the prefix whose events start the workflow, so that the trigger is checked, too.
CANARIES = "incoming/verify"
# Longer than the cold starts of all functions and of a serverless endpoint together. Not measured
# on AWS.
CANARY_SECONDS = 180
# The workflow works when it reaches a verdict, whatever the verdict is.
VERDICTS = ("ACCEPTED", "LOW_CONFIDENCE")


def checks(environment: Environment, picture: Path | None, progress: Progress) -> list[Check]:
    """Every check of what is deployed; the canary is the given picture, or a drawn bicycle.

    Raises NotDeployed, PlanError, TerraformFailed, WrongDeployment, NoSuchPicture.
    """
    deployment = environment.deployment()
    topics = [deployment.alerts_topic_arn, deployment.alarms_topic_arn]
    with canary(Workflow(deployment), picture, progress) as canary_check:
        planned = environment.plan(progress).json
        progress("Asking AWS", None)
        return [
            endpoint(deployment, planned),
            canary_check,
            subscriptions(deployment.client("sns"), topics),
            alarms(deployment),
            plan(planned),
        ]


def plan(planned: dict[str, Any]) -> Check:
    """Whether a plan (Terraform's JSON) would change nothing."""
    changed = [f"{each.action} {each.address}" for each in plan_summary.changes(planned)]
    changed += [
        f"output {name}"
        for name, change in planned.get("output_changes", {}).items()
        if change["actions"] != ["no-op"]
    ]
    if not changed:
        return Check("plan", OK, "a plan changes nothing")
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return Check(
        "plan",
        FAILED,
        f"a plan would {', '.join(changed[:3])}{more}",
        "Read it (scones plan), then apply; if nobody has changed the configuration, somebody has changed AWS.",
    )


def endpoint(deployment: Deployment, planned: dict[str, Any]) -> Check:
    """Whether the endpoint runs the configuration that the plan asks for.

    When SageMaker rolls an update back, an apply reports success and deletes the configuration in use:
    https://github.com/hashicorp/terraform-provider-aws/issues/48997
    """
    asked = {
        it["values"]["name"]: it["values"]["endpoint_config_name"]
        for it in plan_summary.resources(planned["planned_values"])
        if it["type"] == "aws_sagemaker_endpoint"
    }
    if not asked:
        return Check("endpoint", SKIPPED, "it is off (no model, or endpoint.enabled = false)")
    ((name, wanted),) = asked.items()
    sagemaker = deployment.client("sagemaker")
    described = found(sagemaker.describe_endpoint, EndpointName=name)
    remedy = (
        f"Look into the log group /aws/sagemaker/Endpoints/{name}, fix it and apply; or: scones rollback."
    )
    if described is None:
        return Check("endpoint", FAILED, f"there is no endpoint {name}", "Apply.")
    status, runs, reason = (
        described["EndpointStatus"],
        described["EndpointConfigName"],
        described.get("FailureReason"),
    )
    said = f"; SageMaker says: {reason}" if reason else ""
    if runs != wanted:
        gone = found(sagemaker.describe_endpoint_config, EndpointConfigName=runs) is None
        lost = ", which is deleted: the endpoint answers, but cannot scale or recover" if gone else ""
        return Check("endpoint", FAILED, f"it runs {runs}{lost}; {wanted} was asked for{said}", remedy)
    if status != "InService":
        return Check("endpoint", FAILED, f"{name} is {status}{said}", remedy)
    if found(sagemaker.describe_endpoint_config, EndpointConfigName=runs) is None:
        return Check("endpoint", FAILED, f"its configuration {runs} is deleted", remedy)
    return Check("endpoint", OK, f"{name} is in service with {runs}")


def alarms(deployment: Deployment) -> Check:
    """Whether no alarm of the deployment is ringing; one without data is not."""
    states: dict[str, str] = {}
    pages = deployment.client("cloudwatch").get_paginator("describe_alarms")
    for page in pages.paginate(
        AlarmNamePrefix=f"{deployment.prefix}-", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    ):
        for each in [*page.get("MetricAlarms", []), *page.get("CompositeAlarms", [])]:
            states[each["AlarmName"]] = each["StateValue"]
    if ringing := sorted(name for name, state in states.items() if state == "ALARM"):
        return Check(
            "alarms", FAILED, f"{', '.join(ringing)} in alarm", "docs/operations.md#alarm says what to do."
        )
    waiting = sum(state == "INSUFFICIENT_DATA" for state in states.values())
    without = f", {waiting} of them without data yet" if waiting else ""
    return Check("alarms", OK, f"none of {len(states)} rings{without}")


class Canary:
    """One picture that goes through the whole deployed workflow, from event to row.

    Args:
        workflow: the deployed one.
        picture: a file; a drawn bicycle by default.

    Raises:
        NoSuchPicture: the file cannot be read.
    """

    def __init__(self, workflow: Workflow, picture: Path | None, progress: Progress):
        self.workflow, self.progress = workflow, progress
        prefix = f"{CANARIES}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
        with TemporaryDirectory() as folder:
            drawn = Path(folder) / "canary.jpg"
            generator.draw("bicycle", 1).save(drawn, quality=90)
            self.picture: Picture = workflow.upload(picture or drawn, prefix)

    def check(self) -> Check:
        """Waits for the verdict. A doubtful one is as good as a sure one, but sends an alert."""
        began = time.monotonic()
        while (row := self._row()) is None:
            waited = time.monotonic() - began
            self.progress("Waiting for the canary's row", waited / CANARY_SECONDS)
            if waited > CANARY_SECONDS:
                return Check(
                    "canary",
                    FAILED,
                    f"{self.picture.uri} has no row after {CANARY_SECONDS} s: its event started no execution, or it hangs",
                    "Look for dead letters (scones rerun --from-dead-letters) and running executions. What comes of it "
                    f"after all stays until: scones forget {self.picture.uri}",
                )
            time.sleep(0.2)
        self.workflow.wait(row["execution"])
        seconds = time.monotonic() - began
        if row["status"] not in VERDICTS:
            why = f"{row['status']}: {row.get('error')}: {row.get('cause')} ({row['execution']})"
            return Check(
                "canary",
                FAILED,
                why,
                "docs/operations.md#system says what each error means; or: scones rollback.",
            )
        answer = f"{row['label']} {row['confidence']:.3f} after {seconds:.1f} s"
        if row["status"] == "ACCEPTED":
            return Check("canary", OK, f"accepted as {answer}")
        return Check(
            "canary",
            OK,
            f"decided, but doubtful ({answer}, threshold {row['threshold']}), so an alert went out",
            "Give a picture that this model is sure of: --picture FILE.",
        )

    def _row(self) -> Row | None:
        return self.workflow.row(self.picture.uri, self.picture.s3_version_id)

    def delete_traces(self) -> None:
        """Removes every trace but captured data that SageMaker has not written yet: it expires."""
        forgetting = Forgetting(self.workflow, self.picture.uri)
        forgetting.remove(forgetting.find(silent), silent)


@contextmanager
def canary(workflow: Workflow, picture: Path | None, progress: Progress) -> Iterator[Check]:
    """The check of a canary, whose traces go when the block ends: captured data arrives late."""
    if workflow.deployment.endpoint_name is None:
        yield Check("canary", SKIPPED, "the endpoint is off, so pictures only wait")
        return
    sent = Canary(workflow, picture, progress)
    try:
        yield sent.check()
    finally:
        progress("Forgetting the canary", None)
        sent.delete_traces()
