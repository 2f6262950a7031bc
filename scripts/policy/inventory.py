"""What production's plan sets, value by value: the inventory in tests/terraform/inventory.yaml.

A rule says what every deployment must have. The inventory says what this one has, so that a value which became
another valid one is a line of a review, too.
"""

import fnmatch
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml

from functions.common.shown import shown
from scripts.common.paths import ROOT
from scripts.policy.plan_json import Plan, resources
from scripts.policy.reference_plan import in_text

PAGE = ROOT / "tests" / "terraform" / "inventory.yaml"
INTRODUCTION = """# What production's plan sets, with everything on. Policies are in docs/permissions.md.
# `make inventory` writes this file. `make policy` fails if the plan sets something else.
"""
# What the inventory leaves out, by "ADDRESS PATH", with the reason.
LEFT_OUT = {
    "* description": "words for readers of the console",
    "* definition.*Comment": "words for readers of a state machine",
    "* dashboard_body.widgets.*.[xy]": "where something is on the dashboard",
    "* dashboard_body.widgets.*.height": "where something is on the dashboard",
    "* dashboard_body.widgets.*.width": "where something is on the dashboard",
    "* source_code_hash": "the judged plan has no code",
}
# What has a gate of its own: the page of permissions, and the rule that every resource is tagged.
ELSEWHERE = ("* tags", "* tags_all", "* assume_role_policy", "*.aws_lambda_permission.* *")
UNLISTED = re.compile("|".join(map(fnmatch.translate, (*LEFT_OUT, *ELSEWHERE))))


def inventory(plan: Plan) -> dict[str, Any]:
    """What each resource sets, by address."""
    folder = plan["variables"]["package_dir"]["value"]
    found = {address: _set(after, f"{address} ", folder) for address, after in resources(plan)}
    return {address: value for address, value in found.items() if value}


def _set(value: Any, place: str, folder: str) -> Any:
    """A value without what is empty or left out; a document as what it says."""
    value = in_text(value)
    if isinstance(value, str):
        return value.replace(folder, "PACKAGES")
    if isinstance(value, list):
        return [_set(it, f"{place}{number}.", folder) for number, it in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if "Statement" in value:
        return None
    inner = {
        name: _set(it, f"{place}{name}.", folder)
        for name, it in value.items()
        if not UNLISTED.match(f"{place}{name}")
    }
    return {name: it for name, it in inner.items() if it not in (None, "", [], {})}


def page(plan: Plan) -> str:
    text = yaml.safe_dump(inventory(plan), default_flow_style=None, allow_unicode=True, width=10**6)
    return f"{INTRODUCTION}{text}"


def broken(plan: Plan) -> list[str]:
    """Each value that the inventory and the plan do not share."""
    listed, planned = read(), dict(_values(inventory(plan)))

    def told(values: dict[str, Any], place: str) -> str:
        return shown(values[place]) if place in values else "nothing"

    return [
        f"{place}: the inventory has {told(listed, place)}, the plan {told(planned, place)}"
        " (after a review: make inventory)"
        for place in sorted(listed.keys() | planned.keys())
        if json.dumps(listed.get(place)) != json.dumps(planned.get(place))
    ]


@cache
def read() -> dict[str, Any]:
    """Each value of the inventory by its place."""
    return dict(_values(yaml.load(PAGE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)))


def _values(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Each single value by its place. An empty list or map is a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not inner:
        yield place, value
    for name, it in inner:
        yield from _values(it, f"{place}.{name}" if place else str(name))


def write(plan: Plan) -> None:
    PAGE.write_text(page(plan), encoding="utf-8")
