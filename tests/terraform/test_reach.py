"""Who reaches whose: identity policy, boundary and resource policy together, in two projects.

The names are the worst that the validations allow: "dev" begins "dev2", and environment "web" of
project "scones" has the prefix of project "scones-web". Nothing may cross that the table in
docs/permissions.md does not list.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from scripts.common import paths
from scripts.deployment.offline import ACCOUNT, offline
from scripts.local_aws.iam.policy_evaluation import Call, Decision, Document, Policies, decide
from scripts.policy.permissions_page import ACROSS, ANYTHING
from scripts.policy.plan_json import listed
from tests.terraform.test_bootstrap import NAMED

REGION = "us-east-1"
PROJECTS = {"scones": ["dev", "dev2", "prod", "web"], "scones-web": ["dev", "training"]}
PREFIXES = [f"{project}-{name}" for project, names in PROJECTS.items() for name in names]
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
EVERYTHING = json.dumps({"Statement": [{"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}]})
# What a resource is, and a service says of whom it acts for; everything else a caller may choose.
# What is inside a resource and has an ARN that begins with its own.
INSIDE = {
    "aws_s3_bucket": (
        "/incoming/a.png",
        "/models/bikes/model.tar.gz",
        "/training/{prefix}-training-20260101-000000/output/x",
    ),
    "aws_dynamodb_table": ("/index/attention",),
    "aws_lambda_function": (":live",),
    "aws_cloudwatch_log_group": (":log-stream:one",),
}
GIVEN = ("aws:resourcetag/", "kms:resourcealiases", "aws:sourcearn", "kms:encryptioncontext:")

Plan = list[dict[str, Any]]
Context = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Resource:
    """Something in the account: whose it is, what conditions ask of it, and the policy that is attached to it."""

    what: str
    arn: str
    owner: str
    context: Context = ()
    policy: Document | None = None

    @property
    def service(self) -> str:
        return self.arn.split(":")[2] if ":" in self.arn else ""


@dataclass(frozen=True)
class Role:
    """Who acts: `kind` as docs/permissions.md calls it, `owner` as that of resources.

    An owner is the prefix of an environment, "project NAME" or "account".
    """

    kind: str
    owner: str
    arn: str
    identity: tuple[Document, ...]
    boundary: Document | None = None

    def is_foreign(self, resource: Resource) -> bool:
        return resource.owner not in (self.owner, *owned(self.owner))

    def decide(self, action: str, resource: Resource, context: Context) -> Decision:
        policies = Policies(self.identity, self.boundary, resource.policy)
        return decide(Call(self.arn, action, resource.arn, context + resource.context), policies)


def owned(owner: str) -> list[str]:
    """The prefixes of a project's environments; an environment owns none but itself."""
    project = owner.removeprefix("project ")
    return [f"{project}-{name}" for name in PROJECTS[project]] if project != owner else []


def changes(shown: str) -> Plan:
    """What is there after the apply of a plan as `terraform show -json` gives it."""
    return [it for it in json.loads(shown)["resource_changes"] if it["mode"] == "managed"]


def of_type(plan: Plan, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key or name, attributes) of every resource of a type."""
    for it in plan:
        if it["type"] == kind:
            yield str(it.get("index", it["name"])), it["change"]["after"]


@pytest.fixture(scope="module")
def bootstraps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Plan]:
    """What the bootstrap makes for each project, by the real provider's plan."""
    plans = {}
    with offline(tmp_path_factory.mktemp("reach"), paths.TERRAFORM / "bootstrap") as module:
        for project, names in PROJECTS.items():
            variables = {"github_repository": "o/r", "project": project, "environments": json.dumps(names)}
            given = [f"-var={name}={value}" for name, value in variables.items()]
            module.run("plan", "-no-color", "-input=false", "-out=plan", *given)
            plans[project] = changes(module.run("show", "-json", "plan")[1])
    return plans


@pytest.fixture(scope="module")
def deployments(provisioned: dict[str, Any]) -> dict[str, Plan]:
    """Production's plan under each environment's prefix, which is all that distinguishes their names."""
    text = json.dumps({"resource_changes": provisioned["resource_changes"]})
    return {prefix: changes(text.replace("scones-prod", prefix)) for prefix in PREFIXES}


def arn(service: str, rest: str, region: str = REGION, account: str = ACCOUNT) -> str:
    return f"arn:aws:{service}:{region}:{account}:{rest}"


def tags(project: str, environment: str) -> Context:
    return (("aws:resourcetag/project", (project,)), ("aws:resourcetag/environment", (environment,)))


def resources_of(project: str, environment: str, plan: Plan) -> Iterator[Resource]:
    """Everything of one environment that a policy can name, by its ARN."""
    prefix = f"{project}-{environment}"
    tagged = tags(project, environment)
    documents = {}
    for kind in ("aws_s3_bucket_policy", "aws_sns_topic", "aws_sqs_queue"):
        for _, after in of_type(plan, kind):
            documents[after.get("bucket") or after["name"]] = after["policy"]
    for kind, (_, attribute, pattern) in NAMED.items():
        for _, after in of_type(plan, kind):
            name = after[attribute]
            whole = "arn:aws:" + pattern.format(region=REGION, account=ACCOUNT, name=name)
            text = documents.get(name, after.get("assume_role_policy"))
            policy = Document(whole, text) if text else None
            yield Resource(kind, whole, prefix, tagged, policy)
            for end in INSIDE.get(kind, ()):
                yield Resource(f"{kind}: inside", whole + end.format(prefix=prefix), prefix, tagged, policy)
    (key,) = of_type(plan, "aws_kms_key")
    aliased = (("kms:resourcealiases", (f"alias/{prefix}",)),)
    key_arn = arn("kms", f"key/{prefix}")
    yield Resource("aws_kms_key", key_arn, prefix, tagged + aliased, Document(key_arn, key[1]["policy"]))
    for function in {after["function_name"] for _, after in of_type(plan, "aws_lambda_permission")}:
        whole = arn("lambda", f"function:{function}:live")
        yield Resource("live function", whole, prefix, tagged, Document(whole, invocations(plan, function)))
    job = f"{prefix}-training-20260101-000000"
    streams = f"log-group:/aws/sagemaker/TrainingJobs:log-stream:{job}/algo-1-1767225600"
    for what, service, rest in (
        ("scaling target", "application-autoscaling", f"scalable-target/{prefix}"),
        ("execution", "states", f"execution:{prefix}-classify:one"),
        ("subscription", "sns", f"{prefix}-alerts:1234"),
        ("training job", "sagemaker", f"training-job/{job}"),
        ("logs of a training job", "logs", streams),
        (
            "alarm for scaling",
            "cloudwatch",
            f"alarm:TargetTracking-endpoint/{prefix}-classifier/variant/primary",
        ),
    ):
        yield Resource(what, arn(service, rest), prefix, tagged)
    state = f"arn:aws:s3:::{project}-state-{ACCOUNT}/{environment}/terraform.tfstate"
    yield Resource("state", state, prefix)
    yield Resource("state", f"{state}.tflock", prefix)


def invocations(plan: Plan, function: str) -> str:
    """The policy that a function's permissions amount to."""
    statements = [
        {
            "Effect": "Allow",
            "Principal": {"Service": after["principal"]},
            "Action": after["action"],
            "Resource": arn("lambda", f"function:{function}:{after['qualifier']}"),
            "Condition": {"ArnLike": {"aws:SourceArn": after["source_arn"]}},
        }
        for _, after in of_type(plan, "aws_lambda_permission")
        if after["function_name"] == function
    ]
    return json.dumps({"Statement": statements})


def resources_of_project(project: str) -> Iterator[Resource]:
    bucket, owner = f"arn:aws:s3:::{project}-state-{ACCOUNT}", f"project {project}"
    yield Resource("bucket of states", bucket, owner)
    yield Resource("state of the bootstrap", f"{bucket}/bootstrap/terraform.tfstate", owner)
    for environment in PROJECTS[project]:
        role = arn("iam", f"role/ci/{project}-apply-{environment}", region="")
        yield Resource("role for CI", role, owner)
        yield Resource("policy", arn("iam", f"policy/{project}-boundary-{environment}", region=""), owner)
    yield Resource("role for CI", arn("iam", f"role/ci/{project}-plan", region=""), owner)


def resources_of_account() -> Iterator[Resource]:
    """What belongs to no deployment; a key or repository of somebody else, who let IAM decide and set no tags."""
    key = arn("kms", "key/other")
    delegated = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
    yield Resource("the account", "*", "account")
    yield Resource(
        "key without tags", key, "account", (), Document(key, json.dumps({"Statement": delegated}))
    )
    yield Resource("repository without tags", arn("ecr", "repository/other"), "account")
    yield Resource(
        "scaling target without tags", arn("application-autoscaling", "scalable-target/other"), "account"
    )
    yield Resource(
        "log group of training jobs", arn("logs", "log-group:/aws/sagemaker/TrainingJobs"), "account"
    )
    service = "sagemaker.application-autoscaling.amazonaws.com"
    linked = f"role/aws-service-role/{service}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    yield Resource("role for scaling", arn("iam", linked, region=""), "account")
    yield Resource("another bucket", "arn:aws:s3:::other", "account")
    yield Resource("another role", arn("iam", "role/other", region=""), "account")


@pytest.fixture(scope="module")
def resources(deployments: dict[str, Plan]) -> list[Resource]:
    found = list(resources_of_account())
    for project, names in PROJECTS.items():
        found += resources_of_project(project)
        for name in names:
            found += resources_of(project, name, deployments[f"{project}-{name}"])
    return found


@pytest.fixture(scope="module")
def roles(bootstraps: dict[str, Plan], deployments: dict[str, Plan]) -> list[Role]:
    found = []
    for project, plan in bootstraps.items():
        for name, after in of_type(plan, "aws_iam_role"):
            owner = f"project {project}" if name == "plan" else f"{project}-{name.removeprefix('apply-')}"
            kind = "plan" if name == "plan" else "apply-ENV"
            whole = arn("iam", f"role/ci/{after['name']}", region="")
            attached = tuple(attachments(plan, after["name"]))
            found.append(Role(kind, owner, whole, attached))
            if kind == "apply-ENV":
                environment = name.removeprefix("apply-")
                destroy = policy(plan, "destroy", environment)
                boundary = policy(plan, "environment_boundary", environment)
                user = arn("iam", "user/person", region="")
                found.append(Role("destroy-ENV", owner, user, (*attached, destroy)))
                made = arn("iam", f"role/{owner}-made", region="")
                found.append(Role("a role of ENV", owner, made, (Document(made, EVERYTHING),), boundary))
    for prefix, plan in deployments.items():
        documents: dict[str, list[Document]] = {}
        for address, after in identities(plan):
            documents.setdefault(address, []).append(Document(address, after["policy"]))
        for address, texts in documents.items():
            # Their boundary is left out: it is optional.
            found.append(
                Role("a role of ENV", prefix, arn("iam", f"role/{address}", region=""), tuple(texts))
            )
    return found


def identities(plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name of the module and resource, attributes) of every policy of a role."""
    for it in plan:
        if it["type"] == "aws_iam_role_policy":
            yield it["address"], it["change"]["after"]


def policy(plan: Plan, name: str, environment: str) -> Document:
    (text,) = (
        it["change"]["after"]["policy"]
        for it in plan
        if it["type"] == "aws_iam_policy" and it["name"] == name and it["index"] == environment
    )
    return Document(f"{name}-{environment}", text)


def attachments(plan: Plan, role: str) -> Iterator[Document]:
    """The policies of a role for CI: an attachment is called like its policy, its key ends with the environment."""
    for it in plan:
        if it["type"] == "aws_iam_role_policy_attachment" and it["change"]["after"]["role"] == role:
            yield policy(plan, it["name"], it["index"].rpartition("/")[2])


def allowing(documents: Iterator[Document] | tuple[Document, ...]) -> Iterator[dict[str, Any]]:
    for document in documents:
        statements = json.loads(document.text)["Statement"]
        yield from (it for it in listed(statements) if it["Effect"] == "Allow")


def granted(role: Role) -> set[str]:
    """Every action that a role's policies name; those of its boundary where its own name all."""
    own = {action for it in allowing(role.identity) for action in listed(it["Action"])}
    return own if own != {"*"} or role.boundary is None else granted(Role("", "", "", (role.boundary,)))


@pytest.fixture(scope="module")
def chosen(roles: list[Role], resources: list[Resource]) -> Context:
    """A caller's best choice: every value that any policy asks for, at once."""
    documents = [document for role in roles for document in (*role.identity, role.boundary) if document]
    values: dict[str, set[str]] = {}
    for statement in allowing(tuple(dict.fromkeys(documents))):
        for tests in statement.get("Condition", {}).values():
            for key, expected in tests.items():
                values.setdefault(key.lower(), set()).update(listed(expected))
    choice = {key: tuple(sorted(it)) for key, it in values.items() if not key.startswith(GIVEN)}
    return tuple((choice | {"aws:securetransport": ("true",)}).items())


def crossings(roles: list[Role], resources: list[Resource], chosen: Context) -> set[tuple[str, str, str]]:
    """(kind of role, action, what) of everything that is allowed on what is not the role's own environment's."""
    found = set()
    for role in roles:
        foreign = [it for it in resources if role.is_foreign(it)]
        for action in granted(role):
            service = action.split(":")[0]
            for it in foreign:
                if it.service in (service, "") and role.decide(action, it, chosen).allowed:
                    own = "its project's " if role.owner in owned(it.owner) else ""
                    found.add((role.kind, action, own + it.what))
    return found


def test_nothing_crosses_that_the_page_does_not_list(
    roles: list[Role], resources: list[Resource], chosen: Context
) -> None:
    found = crossings(roles, resources, chosen)
    unlisted = {
        (kind, action, what)
        for kind, action, what in found
        if not any(
            kind in it.who and action in it.actions and (what in it.on or ANYTHING in it.on) for it in ACROSS
        )
    }
    assert sorted(unlisted) == []
    idle = {
        (kind, action, what)
        for it in ACROSS
        for kind, action, what in product(it.who, it.actions, it.on)
        if not any((kind, action) == each[:2] and what in (each[2], ANYTHING) for each in found)
    }
    assert sorted(idle) == [], "the page lists what does not cross any more"


def services(policy: Document) -> Iterator[tuple[str, str]]:
    """(service, action) of everything that a resource's policy lets a service do."""
    for statement in allowing((policy,)):
        for service in listed(statement["Principal"].get("Service", [])):
            yield from ((service, action) for action in listed(statement["Action"]))


def test_no_service_acts_on_an_environment_for_another(resources: list[Resource]) -> None:
    """Each policy of a resource is asked for every resource of the other environments as the source."""
    found = set()
    for it in resources:
        for service, action in set(services(it.policy)) if it.policy else ():
            for source in resources:
                if source.owner in (it.owner, "account"):
                    continue
                said = ("aws:sourcearn", "kms:encryptioncontext:aws:logs:arn")
                context = (*((key, (source.arn,)) for key in said), ("aws:sourceaccount", (ACCOUNT,)))
                if decide(Call(service, action, it.arn, context), Policies(resource=it.policy)).allowed:
                    found.add((service, action, it.what))
    # Nothing says for whom these two assume a role: who may pass it does, and PassRole ends at the environment.
    assert found == {
        (f"{service}.amazonaws.com", "sts:AssumeRole", "aws_iam_role") for service in ("lambda", "sagemaker")
    }


def test_no_role_is_made_but_with_the_environment_s_own_boundary(
    roles: list[Role], resources: list[Resource]
) -> None:
    """A role that could choose the boundary could make a role that reaches further."""
    boundaries = [it.arn for it in resources if it.what == "policy"]
    former = arn("iam", "policy/scones-boundary", region="")
    for role in roles:
        if role.kind not in ("apply-ENV", "destroy-ENV"):
            continue
        own = next(it for it in resources if it.what == "aws_iam_role" and it.owner == role.owner)
        project, _, environment = role.owner.rpartition("-")
        for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"):
            choices = [(("iam:permissionsboundary", (it,)),) for it in (*boundaries, former)]
            allowed = [choice for choice in ((), *choices) if role.decide(action, own, choice).allowed]
            expected = arn("iam", f"policy/{project}-boundary-{environment}", region="")
            assert allowed == [(("iam:permissionsboundary", (expected,)),)]
        for action in (
            "iam:DeleteRolePermissionsBoundary",
            "iam:AttachRolePolicy",
            "iam:CreatePolicyVersion",
        ):
            assert action not in granted(role)


def test_the_boundary_leaves_the_roles_of_its_environment_what_they_need(
    roles: list[Role], resources: list[Resource], chosen: Context
) -> None:
    """Statement by statement, with the pattern that a role's policy names in place of a resource."""
    bounds = {it.owner: it.boundary for it in roles if it.boundary}
    refused, seen = [], 0
    for role in roles:
        if role.kind != "a role of ENV" or role.boundary:
            continue
        project, _, environment = role.owner.rpartition("-")
        own = (("kms:resourcealiases", (f"alias/{role.owner}",)), *tags(project, environment))
        bounded = Policies(role.identity, bounds[role.owner])
        for statement in allowing(role.identity):
            for action, resource in product(listed(statement["Action"]), listed(statement["Resource"])):
                # A key's policy leaves the decision to the account.
                delegating = {
                    "Effect": "Allow",
                    "Principal": {"AWS": ROOT},
                    "Action": "kms:*",
                    "Resource": "*",
                }
                policy = Document(resource, json.dumps({"Statement": delegating}))
                context = chosen if resource.split(":")[4:5] == ["763104351884"] else chosen + own
                call = Call(role.arn, action, resource, context)
                about_key = bounded._replace(resource=policy if action.startswith("kms:") else None)
                seen += 1
                if not decide(call, about_key).allowed:
                    refused.append((role.arn, action, resource))
    assert seen > 100 * len(PREFIXES)
    assert refused == []


def test_every_environment_is_named_like_production(
    deployments: dict[str, Plan], development: dict[str, Any]
) -> None:
    """Which lets the plans of the others be made from production's."""

    def names(plan: Plan) -> set[str]:
        hashed = re.compile("-[0-9a-f]{12}$")
        return {
            hashed.sub("", after[attribute])
            for kind, (_, attribute, _) in NAMED.items()
            for _, after in of_type(plan, kind)
        }

    assert names(changes(json.dumps(development))) - names(deployments["scones-dev"]) == set()
