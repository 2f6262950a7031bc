"""Which permissions a running stack grants, and which of them its calls used."""

import json
import urllib.request
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from scripts.operations.local_stack import LocalStack
from scripts.policy.plan_json import listed

PATH = "/_local/permissions"


class Grant(NamedTuple):
    """One action that a statement allows; `owner` is the ARN of the role, or of the resource."""

    owner: str
    sid: str
    action: str

    @property
    def who(self) -> str:
        """The owner's name, for people."""
        return self.owner.split(":", 5)[-1]


class Exempt(NamedTuple):
    """A grant that no run uses, and why it stays; shell patterns."""

    owner: str
    sid: str
    action: str
    reason: str


EXCEPTIONS = (
    Exempt(
        "arn:aws:kms:*",
        "LetAccountAdminister",
        "*",
        "for the account's people and Terraform, which nothing restricts here",
    ),
    Exempt(
        "arn:aws:kms:*",
        "LetAccountDelegateUse",
        "*",
        "leaves the use of the key to the account's own policies; people may need what no role here does",
    ),
)


class Use(NamedTuple):
    """What was granted, what went unused, what is excused, and what was denied."""

    granted: list[Grant]
    unused: list[Grant]
    excused: list[tuple[Grant, str]]
    denied: list[dict[str, Any]]


def read(stack: LocalStack) -> dict[str, Any]:
    """Decisions and policies of the stack (scripts/local_aws/README.md). Raises NotDeployed."""
    with urllib.request.urlopen(f"{stack.endpoint_url}{PATH}", timeout=30) as answer:
        return json.load(answer)


def use(decided: dict[str, Any], prefix: str, key_arn: str) -> Use:
    """How one deployment's policies were used; its resources' names start with `prefix`."""
    granted = [
        grant for grant in grants(decided["policies"]) if prefix in grant.owner or grant.owner == key_arn
    ]
    used = {
        Grant(owner, sid, each["call"]["action"])
        for each in decided["decisions"]
        for owner, sid in each["by"]
        if each["allowed"]
    }
    unused, excused = [], []
    for grant in granted:
        if grant in used:
            continue
        if reason := reason_for(grant):
            excused.append((grant, reason))
        else:
            unused.append(grant)
    return Use(granted, unused, excused, [each for each in decided["decisions"] if not each["allowed"]])


def grants(policies: list[tuple[str, str]]) -> Iterator[Grant]:
    """Each action of each statement that allows anything."""
    for owner, text in policies:
        for statement in statements(text):
            if statement["Effect"] == "Allow":
                for action in listed(statement["Action"]):
                    yield Grant(owner, statement.get("Sid", ""), action)


def statements(text: str) -> list[dict[str, Any]]:
    return listed(json.loads(text)["Statement"])


def reason_for(grant: Grant) -> str:
    """Why a grant may stay unused; empty if it may not."""
    patterns = ((each[:3], each.reason) for each in EXCEPTIONS)
    return next((reason for pattern, reason in patterns if all(map(fnmatchcase, grant, pattern))), "")
