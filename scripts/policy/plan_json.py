"""Reads a Terraform plan as JSON: https://developer.hashicorp.com/terraform/internals/json-format"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from scripts.deployment.offline import ACCOUNT, OfflineModule

REGION = "us-east-1"
CATEGORIES = ["low_confidence", "rejected", "system", "alarm", "batch", "drift"]
LATER = f"arn:aws:service:{REGION}:{ACCOUNT}:known-after-apply"
KEY_LATER = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/known-after-apply"
MODEL = {
    "name": "bikes",
    "artifact_uri": f"s3://scones-prod-{ACCOUNT}-{REGION}/models/bikes/model.tar.gz",
    "sha256": "a" * 64,
    "image_uri": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/scones-prod-serving@sha256:{'b' * 64}",
    "labels": ["bicycle", "motorcycle", "neither"],
    "classes_of_interest": ["bicycle", "motorcycle"],
    "threshold": 0.93,
    "input_size": 32,
}

# Attributes that hold documents: they must be known, so nothing is made up for them.
DOCUMENTS = ("policy", "assume_role_policy", "definition", "event_pattern", "filter_policy", "access_policy")

Resource = dict[str, Any]
Plan = dict[str, Any]


class Names(NamedTuple):
    """What a plan calls its deployment: the first part of its resources' names, its region and its account."""

    prefix: str
    region: str
    account: str

    def are_in(self, arn: str) -> bool:
        """Whether an ARN is of the account and names something of the deployment."""
        return self.account in arn and f"{self.prefix}-" in arn


def names(plan: Plan) -> Names:
    """The names in a plan's outputs."""
    prefix, region, bucket = (
        plan["planned_values"]["outputs"][name]["value"] for name in ("prefix", "region", "bucket")
    )
    return Names(prefix, region, bucket.removeprefix(f"{prefix}-").removesuffix(f"-{region}"))


def plan(module: OfflineModule) -> Plan:
    """Plans production with everything on, and fills in what is known later. Raises TerraformFailed."""
    inputs = {
        "model": MODEL,
        "subscribers": {"everything@example.com": CATEGORIES},
        "monthly_budget_usd": 300,
    }
    path = module.folder.parent / "inputs.tfvars.json"
    path.write_text(json.dumps(inputs), encoding="utf-8")
    var_files = ("-var-file=environments/prod.tfvars", f"-var-file={path}")
    module.run("plan", "-no-color", "-input=false", "-lock=false", "-refresh=false", "-out=plan", *var_files)
    _, text = module.run("show", "-json", "plan")
    return filled(json.loads(text))


def filled(plan: Plan) -> Plan:
    """The plan with a made-up ARN wherever a configured attribute is known after the apply, changed in place.

    The time of planning and a list without a fixed order are dropped: the same configuration gives the same text.
    """
    for name in ("timestamp", "relevant_attributes"):
        plan.pop(name, None)
    settings = configured(plan)
    for change in plan["resource_changes"]:
        if change["mode"] == "managed":
            after = change["change"]["after"]
            _fill(after, change["change"]["after_unknown"], settings.get(_place(change["address"])))
            _planned(plan)[change["address"]]["values"] = after
    return plan


def _fill(after: Any, unknown: Any, expressions: Any) -> None:
    """A dynamic block is not among the expressions: all that is unknown in it is filled."""
    for key, state in list(unknown.items() if isinstance(unknown, dict) else enumerate(unknown)):
        in_dynamic_block = isinstance(state, list)
        if key in DOCUMENTS or (
            isinstance(expressions, dict) and key not in expressions and not in_dynamic_block
        ):
            continue
        inner = expressions
        if isinstance(expressions, dict):
            inner = expressions.get(key)
        elif isinstance(expressions, list):
            inner = expressions[key] if key < len(expressions) else None
        if state is True:
            later = KEY_LATER if re.search("kms|key", str(key)) else LATER
            after[key] = "/".join([later, *_referred(inner)])
            unknown[key] = False
        elif isinstance(state, dict | list):
            _fill(after[key], state, inner)


def _referred(expression: Any) -> list[str]:
    """What an expression refers to, each once: Terraform lists `topic.arn` and then `topic`, too."""
    names = expression.get("references", []) if isinstance(expression, dict) else []
    return [name for name in names if not any(it.startswith((f"{name}.", f"{name}[")) for it in names)]


def _place(address: str) -> str:
    """An address without its keys: where the configuration describes the resource."""
    return re.sub(r'\["[^"]*"\]', "", address)


def configured(plan: Plan) -> dict[str, dict[str, Any]]:
    """{address without keys: the expressions that the configuration sets}."""

    def walk(module: dict[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for resource in module.get("resources", []):
            yield f"{prefix}{resource['address']}", resource.get("expressions", {})
        for name, call in module.get("module_calls", {}).items():
            yield from walk(call["module"], f"{prefix}module.{name}.")

    return dict(walk(plan["configuration"]["root_module"], ""))


def is_configured(settings: dict[str, dict[str, Any]], address: str, path: tuple[str | int, ...]) -> bool:
    """Whether the configuration itself sets a value; the contents of a dynamic block count as not set."""
    value: Any = settings.get(_place(address), {})
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _planned(plan: Plan) -> dict[str, Resource]:
    def walk(module: dict[str, Any]) -> Iterator[Resource]:
        yield from module.get("resources", [])
        for child in module.get("child_modules", []):
            yield from walk(child)

    return {it["address"]: it for it in walk(plan["planned_values"]["root_module"])}


def changes(plan: Plan) -> Iterator[Resource]:
    """Every managed resource that is there after the apply, as in `resource_changes`."""
    for change in plan["resource_changes"]:
        if change["mode"] == "managed" and change["change"]["after"] is not None:
            yield change


def resources(plan: Plan, *kinds: str) -> Iterator[tuple[str, Resource]]:
    """(address, attributes after the apply) of every managed resource of some kinds (all kinds if none is named)."""
    for change in changes(plan):
        if not kinds or change["type"] in kinds:
            yield change["address"], change["change"]["after"]


def documents(plan: Plan) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(address, attribute, document) of every IAM policy in a plan."""
    for address, after in resources(plan):
        for attribute in ("policy", "assume_role_policy"):
            document = json.loads(after.get(attribute) or "{}")
            if "Statement" in document:
                yield address, attribute, document


def statements(plan: Plan) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(address, attribute, statement) of every IAM policy in a plan."""
    for address, attribute, document in documents(plan):
        for statement in document["Statement"]:
            yield address, attribute, statement


def definitions(plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    """(address, definition) of every state machine in a plan."""
    for address, after in resources(plan, "aws_sfn_state_machine"):
        yield address, json.loads(after["definition"])


def listed(value: Any) -> list[Any]:
    """A policy's element, which may be one value or a list of them, as a list."""
    return value if isinstance(value, list) else [value]
