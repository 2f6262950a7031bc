"""Weakenings of the configuration, made one at a time to see which gate notices.

Some remove what protects (`_statement`, `_attributes`, `_machine`). The others replace a valid value by
another, whatever it means (`_replacements`): a gate must know what a value is, not only that there is one.

Most are made in the plan's JSON, where each costs nothing but the gates' own time and touches one resource only,
which is harder to notice than the same change in a shared module's source. What no plan shows (validations, defaults,
the state's backend) is changed in the source, which costs a plan or a `terraform test`.
"""

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.deployment.offline import ACCOUNT
from scripts.policy.plan_json import Plan, changes, configured, is_configured, listed
from scripts.policy.reference_plan import in_text

GONE = "(removed)"
Path_ = tuple[str | int, ...]

# One harmful action per service that no role here needs.
HARMFUL = {
    "cloudwatch": "cloudwatch:DeleteAlarms",
    "dynamodb": "dynamodb:DeleteTable",
    "ecr": "ecr:DeleteRepository",
    "kms": "kms:ScheduleKeyDeletion",
    "lambda": "lambda:UpdateFunctionCode",
    "logs": "logs:DeleteLogGroup",
    "s3": "s3:DeleteObject",
    "sagemaker": "sagemaker:DeleteEndpoint",
    "sns": "sns:DeleteTopic",
    "sqs": "sqs:PurgeQueue",
    "states": "states:DeleteStateMachine",
    "xray": "xray:DeleteGroup",
}
WEAKER = {
    "2012-10-17": "2008-10-17",
    "Active": "PassThrough",
    "BucketOwnerEnforced": "ObjectWriter",
    "ENABLED": "DISABLED",
    "ERROR": "ALL",
    "Enabled": "Disabled",
    "IMMUTABLE": "MUTABLE",
    "JSON": "Text",
    "KMS": "AES256",
    "aws:kms": "AES256",
}
# The kinds that put a valid value in the place of another.
REPLACED = ("list", "neighbour", "number", "constant")
OTHER = "other"
# A number by itself, not a part of a name or an ARN.
NUMBER = re.compile(r"(?<![\w.:#$-])\d+(?:\.\d+)?(?![\w.:-])")
# What texts of one kind begin with: ARNs with their service, names with project and environment.
BEGINNING = re.compile(r"arn:\w+:[\w-]+|[\w/]+-\w+-")
KEY = re.compile(r"^kms_|_kms_")
LASTING = re.compile(r"retention|_days$|^days$|_window|_age_|_attempts$|sampling_percentage")
# Resources that protect or alert: without them the rest still works.
GUARDS = re.compile(
    "public_access_block|ownership|encryption_configuration|versioning|lifecycle|bucket_policy|log_group|dead_letters"
    "|event_invoke_config|event_rule|event_target|notification|alarm|subscription|kms_key"
)
# Blocks that protect, keep or alert.
GUARDING_BLOCKS = re.compile(
    "logging|tracing|dead_letter|retry_policy|destination|on_failure|encryption|versioning|capture_config|capture_options|scanning"
    "|point_in_time|^ttl$|^rule$|expiration|abort_"
)


@dataclass(frozen=True)
class Weakening:
    """One change of one resource: the value at `path`, which may lead into an attribute's JSON."""

    kind: str
    address: str
    path: Path_
    value: Any

    def __str__(self) -> str:
        value = self.value if self.value == GONE else json.dumps(self.value)
        return f"{self.kind}: {self.address} {'.'.join(map(str, self.path))} -> {value}"

    def applied(self, plan: Plan) -> Plan:
        """The plan with the change made; the rest is shared with the original."""
        whole = next(it["change"] for it in plan["resource_changes"] if it["address"] == self.address)
        after = _put(whole["after"], self.path, self.value) if self.path else None
        planned = plan["planned_values"]

        def weak(resources: list[dict[str, Any]], **new: Any) -> list[dict[str, Any]]:
            others = (it if it["address"] != self.address else it | new for it in resources)
            return [it for it in others if after is not None or it["address"] != self.address]

        def module(it: dict[str, Any]) -> dict[str, Any]:
            inner = [module(child) for child in it.get("child_modules", [])]
            return it | {"resources": weak(it.get("resources", []), values=after), "child_modules": inner}

        return plan | {
            "resource_changes": weak(plan["resource_changes"], change=whole | {"after": after}),
            "planned_values": planned | {"root_module": module(planned["root_module"])},
        }


def _put(target: Any, path: Path_, value: Any) -> Any:
    """The target with a value put at a path, which may lead into the JSON of a text."""
    if isinstance(target, str):
        return json.dumps(_put(json.loads(target), path, value))
    step, rest = path[0], path[1:]
    changed = copy.copy(target)
    if rest:
        changed[step] = _put(changed[step], rest, value)
    elif value == GONE:
        del changed[step]
    else:
        changed[step] = value
    return changed


def of_plan(plan: Plan) -> list[Weakening]:
    """Every weakening of a plan that this module knows how to make, each once."""
    made: dict[str, Weakening] = {}
    settings, neighbours = configured(plan), _neighbours(plan)
    for change in changes(plan):
        address, after = change["address"], change["change"]["after"]
        for attribute in ("policy", "assume_role_policy"):
            document = json.loads(after.get(attribute) or "{}")
            for place, statement in enumerate(document.get("Statement", [])):
                for it in _statement(address, (attribute, "Statement", place), statement):
                    made.setdefault(str(it), it)
        if "definition" in after:
            for it in _machine(address, json.loads(after["definition"])):
                made.setdefault(str(it), it)
        for it in (
            *_attributes(address, after, settings),
            *_deliveries(address, after),
            *_guards(change),
            *_replacements(change, neighbours),
        ):
            made.setdefault(str(it), it)
    return list(made.values())


def _guards(change: dict[str, Any]) -> Iterator[Weakening]:
    if GUARDS.search(f"{change['type']} {change['name']}"):
        yield Weakening("resource", change["address"], (), GONE)


def _statement(address: str, at: Path_, statement: dict[str, Any]) -> Iterator[Weakening]:
    def weak(kind: str, path: Path_, value: Any) -> Weakening:
        return Weakening(kind, address, (*at, *path), value)

    if statement["Effect"] == "Deny":
        yield weak("statement", (), GONE)
        yield weak("statement", ("Effect",), "Allow")
        yield weak("principal", ("Principal",), {"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
        if len(listed(statement["Action"])[0]) > len("s3:*"):
            yield weak("action", ("Action",), "sns:Subscribe")
        else:
            yield weak("action", ("Action",), statement["Action"].replace("*", "Get*"))
    else:
        yield from _grant(weak, statement)
    yield weak("statement", ("Sid",), GONE)
    for operator, tests in statement.get("Condition", {}).items():
        yield from _condition(weak, operator, tests)


def _grant(weak: Callable[..., Weakening], statement: dict[str, Any]) -> Iterator[Weakening]:
    actions = listed(statement["Action"])
    service = actions[0].split(":")[0]
    yield weak("action", ("Action",), f"{service}:*")
    yield weak("action", ("Action",), "*")
    yield weak("action", ("Action",), [*actions[:-1], f"{actions[-1]}s"])
    yield weak("action", ("Action",), [*actions, HARMFUL.get(service, "iam:PassRole")])
    if "Principal" in statement:
        yield weak("principal", ("Principal",), "*")
        yield weak("principal", ("Principal",), {"AWS": "arn:aws:iam::210987654321:root"})
    resources = listed(statement.get("Resource", "*"))
    for place, resource in enumerate(resources):
        if resource != "*":
            wide = ":".join([*resource.split(":")[:5], "*"])
            rest = [*resources[:place], *resources[place + 1 :]]
            yield weak("resource of a statement", ("Resource",), [*rest, "*"])
            yield weak("resource of a statement", ("Resource",), [*rest, wide])


def _condition(weak: Callable[..., Weakening], operator: str, tests: dict[str, Any]) -> Iterator[Weakening]:
    for key, values in tests.items():
        yield weak("condition", ("Condition", operator, key), GONE)
        if operator == "Bool":
            turned = ["false" if value == "true" else "true" for value in listed(values)]
            yield weak("condition", ("Condition", operator, key), turned)
        elif ACCOUNT in str(values):
            other = json.loads(
                json.dumps(values).replace(ACCOUNT, "*" if "Like" in operator else "210987654321")
            )
            yield weak("condition", ("Condition", operator, key), other)
        else:
            yield weak("condition", ("Condition", operator, key), ["*"])


def _attributes(
    address: str, values: dict[str, Any], settings: dict[str, dict[str, Any]]
) -> Iterator[Weakening]:
    """Booleans, keys, times, protective words and blocks of a resource, wherever they are nested."""
    for path, value in _leaves(values):
        name = str(path[-1])
        if value is True or (value is False and is_configured(settings, address, path)):
            yield Weakening("boolean", address, path, not value)
        elif KEY.search(name) and value:
            yield Weakening("encryption", address, path, None)
        elif isinstance(value, int) and value > 0 and LASTING.search(name):
            yield Weakening("retention", address, path, 0)
            yield Weakening("retention", address, path, None)
        elif isinstance(value, str) and value in WEAKER:
            kind = "encryption" if "AES" in WEAKER[value] else "setting"
            yield Weakening(kind, address, path, WEAKER[value])
        elif isinstance(value, list) and value and GUARDING_BLOCKS.search(name):
            yield Weakening("block", address, path, [])
            if len(value) > 1:
                yield from (Weakening("block", address, (*path, place), GONE) for place in range(len(value)))


def _leaves(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every value below a resource except tags, including blocks and the JSON inside texts."""
    if path:
        yield path, value
    value = in_text(value)
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in ("tags_all", "tags"):
                yield from _leaves(inner, (*path, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _leaves(inner, (*path, place))


def _deliveries(address: str, after: dict[str, Any]) -> Iterator[Weakening]:
    """Who receives what: alarms' actions, filters of subscriptions, what event rules match, who may invoke, tags."""
    if after.get("alarm_actions"):
        yield Weakening("alarm action", address, ("alarm_actions",), [])
        yield Weakening("alarm action", address, ("actions_enabled",), value=False)
    if after.get("filter_policy"):
        yield Weakening("delivery", address, ("filter_policy",), None)
    if "statement_id" in after and after.get("source_arn"):
        yield Weakening("delivery", address, ("source_arn",), None)
        yield Weakening("delivery", address, ("qualifier",), None)
    detail = json.loads(after.get("event_pattern") or "{}").get("detail", {})
    for at, either in [
        ((), detail),
        *((("$or", place), it) for place, it in enumerate(detail.get("$or", []))),
    ]:
        for place, _ in enumerate(either.get("status", [])):
            yield Weakening("delivery", address, ("event_pattern", "detail", *at, "status", place), GONE)
    if after.get("tags_all"):
        yield Weakening("tag", address, ("tags_all",), {})
        yield Weakening("tag", address, ("tags_all", "project"), OTHER)


def _replacements(
    change: dict[str, Any], neighbours: dict[tuple[str, ...], list[str]]
) -> Iterator[Weakening]:
    """Each value replaced by another of its kind: a list by parts of it, a number, a text by its neighbour."""
    address = change["address"]
    for path, value in _leaves(change["change"]["after"]):
        parts = in_text(value)
        if isinstance(parts, list) and len(parts) > 1:
            for some in (parts[:1], parts[1:]):
                yield Weakening("list", address, path, json.dumps(some) if parts is not value else some)
        elif _is_plain_text(value):
            others = [it for key in _kinds(change, path, value) for it in _next(neighbours[key], value)]
            scaled = list(_scaled(value))
            yield from (Weakening("neighbour", address, path, it) for it in others[:1])
            yield from (Weakening("number", address, path, it) for it in scaled)
            if not others and not scaled:
                yield Weakening("constant", address, path, OTHER)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield from (Weakening("number", address, path, json.loads(it)) for it in _scaled(str(value)))


def _is_plain_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and in_text(value) is value


def _neighbours(plan: Plan) -> dict[tuple[str, ...], list[str]]:
    """The texts of each kind, in order."""
    found: dict[tuple[str, ...], set[str]] = {}
    for change in changes(plan):
        for path, value in _leaves(change["change"]["after"]):
            if _is_plain_text(value):
                for kind in _kinds(change, path, value):
                    found.setdefault(kind, set()).add(value)
    return {kind: sorted(texts) for kind, texts in found.items()}


def _kinds(change: dict[str, Any], path: Path_, value: str) -> Iterator[tuple[str, ...]]:
    """What makes texts neighbours: the same place in resources of one type, then a beginning in common."""
    inside = max((place for place, step in enumerate(path) if step == "States"), default=-2)
    if path[0] == "definition" and path[-1] in ("StartAt", "Next", "Default"):
        machine = path[:-1] if path[-1] == "StartAt" else path[:inside]
        yield (change["address"], *map(str, machine), "state")
    else:
        yield (change["type"], *[step for step in path[inside + 2 :] if isinstance(step, str)])
    if beginning := BEGINNING.match(value):
        yield ("", beginning[0])


def _next(texts: list[str], value: str) -> list[str]:
    """The text that follows, or the first."""
    return [texts[(texts.index(value) + 1) % len(texts)]] if len(texts) > 1 else []


def _scaled(text: str) -> Iterator[str]:
    """A text with its first number ten times as large, and with a tenth of it (of a small one, 1)."""
    for found in NUMBER.finditer(text):
        number = json.loads(found[0])
        if number:
            tenth = number / 10 if isinstance(number, float) else max(1, number // 10)
            others = [it for it in (number * 10, tenth) if it != number]
            yield from (f"{text[: found.start()]}{it}{text[found.end() :]}" for it in others)
            return


def _machine(address: str, definition: dict[str, Any]) -> Iterator[Weakening]:
    yield Weakening("timeout", address, ("definition", "TimeoutSeconds"), GONE)
    for at, state in _paths(definition, ("definition",)):
        yield from (Weakening(kind, address, (*at, *path), value) for kind, path, value in _state(state))


def _paths(machine: dict[str, Any], at: Path_) -> Iterator[tuple[Path_, dict[str, Any]]]:
    for name, state in machine["States"].items():
        here = (*at, "States", name)
        yield here, state
        for place, branch in enumerate(state.get("Branches", [])):
            yield from _paths(branch, (*here, "Branches", place))
        if "ItemProcessor" in state:
            yield from _paths(state["ItemProcessor"], (*here, "ItemProcessor"))


def _state(state: dict[str, Any]) -> Iterator[tuple[str, Path_, Any]]:
    """(kind, path, value) of what can be weakened in one state."""
    if "TimeoutSeconds" in state:
        yield "timeout", ("TimeoutSeconds",), GONE
        yield "timeout", ("TimeoutSeconds",), state["TimeoutSeconds"] * 100
    if "MaxConcurrency" in state:
        yield "timeout", ("MaxConcurrency",), GONE
    for place, retry in enumerate(state.get("Retry", [])):
        yield from _retry(("Retry", place), retry)
    for place, _ in enumerate(state.get("Catch", [])):
        yield "catch", ("Catch", place), GONE
        yield "catch", ("Catch", place, "ErrorEquals"), ["States.Timeout"]
    if "ConditionExpression" in state.get("Arguments", {}):
        yield "write condition", ("Arguments", "ConditionExpression"), GONE
    for name in sorted({"Error", "Cause"} & set(state)):
        yield "loud failure", (name,), GONE


def _retry(at: Path_, retry: dict[str, Any]) -> Iterator[tuple[str, Path_, Any]]:
    yield "retry", at, GONE
    yield "jitter", (*at, "JitterStrategy"), GONE
    for name in ("MaxAttempts", "MaxDelaySeconds", "BackoffRate", "IntervalSeconds"):
        yield "retry", (*at, name), GONE
    yield "retry", (*at, "MaxAttempts"), 0
    yield "retry", (*at, "MaxAttempts"), 99
    for error, _ in enumerate(retry["ErrorEquals"]):
        yield "retry", (*at, "ErrorEquals", error), GONE
    yield "retry", (*at, "ErrorEquals"), [*retry["ErrorEquals"], "Misconfigured"]


@dataclass(frozen=True)
class SourceWeakening:
    """One change of one line of a file below terraform/."""

    kind: str
    file: str
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        return (
            f"{self.kind}: {self.file}:{self.line} {self.before.strip()[:80]} -> {self.after.strip()[-40:]}"
        )

    def apply(self, folder: Path) -> None:
        lines = (folder / self.file).read_text(encoding="utf-8").splitlines()
        lines[self.line - 1] = self.after
        (folder / self.file).write_text("\n".join(lines) + "\n", encoding="utf-8")


def of_source(folder: Path) -> list[SourceWeakening]:
    """Weakenings that no plan shows: each validation and precondition passes anything, each default is turned."""
    made = []
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".tf", ".tfvars", ".tfbackend") or ".terraform" in path.parts:
            continue
        name = path.relative_to(folder).as_posix()
        if name.startswith(("bootstrap/", "tests/")) or name == "backend_override.tf":
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if it := _line(name, line):
                made.append(SourceWeakening(it[0], name, number, line, it[1]))
    return made


def _line(name: str, line: str) -> tuple[str, str] | None:
    if found := re.fullmatch(r"( +condition +=) (.+)", line):
        # In front, because a long condition goes on over the next lines.
        return "validation", f"{found[1]} true ? true : {found[2]}"
    if found := re.fullmatch(r"( *(?:encrypt|use_lockfile) +=) true", line):
        return "state", f"{found[1]} false"
    if name in ("variables.tf", "environments/prod.tfvars"):
        if found := re.fullmatch(r"( *default +=) true", line):
            return "default", f"{found[1]} false"
        if found := re.fullmatch(r"( *log_retention_days +=) \d+", line):
            return "default", f"{found[1]} 1"
    if found := re.fullmatch(r"( *create_before_destroy +=) true", line):
        return "roll-out", f"{found[1]} false"
    return None
