"""What would go wrong before or after an apply: the checklist of `scones doctor`."""

import math
import platform
import re
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from functions.common.shown import shown
from scripts.common import paths
from scripts.deployment import environments, serving_image, terraform
from scripts.deployment.identity import Settings
from scripts.deployment.outputs import NotDeployed
from scripts.deployment.serving_image import ImageError
from scripts.deployment.terraform import MirrorMissing, TerraformMissing
from scripts.operations import check
from scripts.operations.check import FAILED, OK, SKIPPED, Check
from scripts.operations.local_stack import LocalStack, StackGone

# The account in the configuration files until somebody enters their own.
PLACEHOLDER = "111122223333"
# Each child execution of a batch keeps 8 pictures in flight; Terraform allows one child per
# instance.
IN_FLIGHT = 8
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
CONCURRENCY_QUOTA = "L-B99A9384"


def tools() -> Iterator[Check]:
    """Python, Terraform, the AWS provider, Docker."""
    yield Check("python", OK, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    try:
        terraform.executable()
    except TerraformMissing as error:
        yield Check("terraform", FAILED, *_halves(error))
        return
    _, version = terraform.run("version")
    yield Check("terraform", OK, version.splitlines()[0])
    try:
        own = terraform.environment().get("TF_CLI_CONFIG_FILE")
        yield Check("provider", OK, f"from what {own} names" if own else "from the registry")
    except MirrorMissing as error:
        yield Check("provider", FAILED, *_halves(error))
    try:
        serving_image.check_engine()
        yield Check("docker", OK, "an engine answers")
    except ImageError as error:
        yield Check("docker", SKIPPED, f"{_halves(error)[0]}; only scones image needs it", _halves(error)[1])


def _halves(error: Exception) -> tuple[str, str]:
    """Splits an error message of this project into what is wrong and what to do."""
    wrong, _, remedy = str(error).partition(": ")
    return wrong, remedy


def packages() -> Check:
    """Whether the functions for AWS are packaged."""
    manifest = paths.ROOT / "build" / "aws" / "manifest.json"
    if manifest.exists():
        return Check("packages", OK, "build/aws is there")
    return Check(
        "packages", FAILED, "the functions are not packaged, and every plan would say so", "make package"
    )


def this_machine(stack: LocalStack) -> Check:
    """Whether the one-machine AWS runs and has an applied stack."""
    try:
        stack.deployment()
    except StackGone as error:
        return Check("stack", FAILED, *_halves(error))
    except NotDeployed as error:
        return Check("stack", SKIPPED, *_halves(error))
    return Check("stack", OK, f"it runs at {stack.endpoint_url}")


class Account:
    """Checks of an environment's AWS account, made with this shell's credentials.

    Args:
        settings: as `environments.settings` reads them.
        session: whose credentials.
    """

    def __init__(self, settings: Settings, session: boto3.Session):
        self.settings, self.session = settings, session
        self.prefix = f"{settings['project']}-{settings['environment']}"
        self.caller: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        return self.session.client(service, region_name=self.settings["region"])

    def checks(self) -> Iterator[Check]:
        """Credentials first: without them, nothing else can be asked."""
        credentials = self.credentials()
        yield credentials
        if credentials.state == OK:
            yield _asked("state", self.state)
            yield _asked("concurrency", self.concurrency)
            yield _asked("instances", self.instances)
            yield _asked("subscriptions", self.subscriptions)

    def credentials(self) -> Check:
        """Who is calling, and whether it is the account that the model was promoted in."""
        login = "Log in: aws sso login, or aws configure."
        try:
            self.caller = self.client("sts").get_caller_identity()
        except NoCredentialsError:
            return Check("credentials", FAILED, "there are none in this shell", login)
        except (ClientError, BotoCoreError) as error:
            return Check("credentials", FAILED, f"AWS does not take them ({error})", login)
        account, arn = self.caller["Account"], self.caller["Arn"]
        promoted = re.match(r"\d{12}", (self.settings["model"] or {}).get("image_uri", ""))
        if promoted and promoted[0] != account:
            return Check(
                "credentials",
                FAILED,
                f"{arn} is in account {account}, but the model was promoted in {promoted[0]}",
                "Log in to that account, or promote the model in this one.",
            )
        return Check("credentials", OK, f"{arn} in account {account}, {self.settings['region']}")

    def state(self) -> Check:
        """Whether the bucket for Terraform's state is configured and exists."""
        file = environments.ENVIRONMENTS / f"{self.settings['environment']}.s3.tfbackend"
        found = re.search(r'^bucket\s*=\s*"(.+)"', file.read_text(encoding="utf-8"), re.MULTILINE)
        bucket, remedy = found[1] if found else "", f"terraform/bootstrap makes one; name it in {file.name}."
        if not bucket or PLACEHOLDER in bucket:
            return Check("state", FAILED, f"{file.name} still names the placeholder {shown(bucket)}", remedy)
        try:
            self.client("s3").head_bucket(Bucket=bucket)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in ("403", "404"):
                raise
            why = "is not there" if code == "404" else "is not yours to read, or in another account"
            return Check("state", FAILED, f"the bucket {bucket} {why}", remedy)
        return Check("state", OK, f"kept in {bucket}")

    def concurrency(self) -> Check:
        """Whether the concurrency limit covers the pictures that a batch keeps in flight.

        An apply does not check it.
        """
        limits = self.client("lambda").get_account_settings()["AccountLimit"]
        may, needed = limits["ConcurrentExecutions"], IN_FLIGHT * self._batch_children()
        if may >= needed:
            return Check("concurrency", OK, f"{may} functions may run at once, a batch needs {needed}")
        return Check(
            "concurrency",
            FAILED,
            f"{may} functions may run at once in this account, a batch needs {needed}: it would be throttled",
            f"{_raise_quota('lambda', CONCURRENCY_QUOTA, max(needed, 1000))}, or fewer instances (endpoint.scaling.max).",
        )

    def _batch_children(self) -> int:
        """As local.batch_children in terraform/."""
        endpoint = self.settings["endpoint"]
        if endpoint["serverless"]:
            return max(1, math.floor(endpoint["serverless"]["max_concurrency"] / IN_FLIGHT))
        return endpoint["scaling"]["max"] if endpoint["scaling"] else endpoint["instance_count"]

    def instances(self) -> Check:
        """Whether the quotas let the endpoint run, update (with two fleets at once) and scale."""
        endpoint = self.settings["endpoint"]
        if not endpoint["enabled"]:
            return Check("instances", SKIPPED, "endpoint.enabled = false")
        when = "the apply" if self.settings["model"] else "the first apply with a model"
        if endpoint["serverless"]:
            words = ["total concurrency", "serverless"]
            needed = {endpoint["serverless"]["max_concurrency"]: f"{when} would fail"}
        else:
            words = [f"{endpoint['instance_type']} for endpoint usage"]
            scaling = endpoint["scaling"] or dict.fromkeys(("min", "max"), endpoint["instance_count"])
            needed = {
                scaling["max"]: "it cannot scale out to its most",
                2 * scaling["min"]: "an update, which starts new ones beside the old, would fail",
                scaling["min"]: f"{when} would fail",
            }
        quota = self._quota(words)
        if quota is None:
            return Check("instances", SKIPPED, f"Service Quotas knows none for {' '.join(words)}")
        may, name = int(quota["Value"]), quota["QuotaName"]
        missed = [consequence for number, consequence in sorted(needed.items()) if may < number]
        if not missed:
            return Check(
                "instances", OK, f"{may} x {name}, {max(needed)} needed (others in the account count, too)"
            )
        return Check(
            "instances",
            FAILED,
            f"{may} x {name}: {missed[0]} ({max(needed)} needed)",
            f"{_raise_quota('sagemaker', quota['QuotaCode'], max(needed))}; it may take days.",
        )

    def _quota(self, words: list[str]) -> dict[str, Any] | None:
        """The quota whose name contains all `words`: this account's value, else AWS's default.

        https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html
        """
        quotas = self.client("service-quotas")
        for listing in ("list_service_quotas", "list_aws_default_service_quotas"):
            for page in quotas.get_paginator(listing).paginate(ServiceCode="sagemaker"):
                for quota in page["Quotas"]:
                    if all(word in quota["QuotaName"] for word in words):
                        return quota
        return None

    def subscriptions(self) -> Check:
        """Whether anybody is to receive alerts, and has confirmed if the topics exist."""
        if not self.settings["subscribers"]:
            return Check(
                "subscriptions",
                FAILED,
                "no subscribers are configured, so alerts would reach nobody",
                f"Put addresses into subscribers in terraform/environments/{self.settings['environment']}.tfvars.",
            )
        partition, account = self.caller["Arn"].split(":")[1], self.caller["Account"]
        base = f"arn:{partition}:sns:{self.settings['region']}:{account}:{self.prefix}"
        return check.subscriptions(self.client("sns"), [f"{base}-alerts", f"{base}-alarms"])


def _asked(what: str, check: Callable[[], Check]) -> Check:
    """A check, or a skipped one with the reason why AWS gave no answer."""
    try:
        return check()
    except (ClientError, BotoCoreError) as error:
        operation = getattr(error, "operation_name", "")
        return Check(
            what, SKIPPED, f"AWS did not answer: {error}", f"Allow {operation}." if operation else ""
        )


def _raise_quota(service: str, code: str, to: int) -> str:
    return f"aws service-quotas request-service-quota-increase --service-code {service} --quota-code {code} --desired-value {to}"
