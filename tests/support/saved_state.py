"""A state as an apply would leave it, made from the apply's plan, so that upgrades can be planned without AWS.

What a plan does not know yet (ids, ARNs) is made up once for each resource. What other resources take over from
those is not known either, so the state is planned once more: where the plan then differs, it is right. A state is
good when its own plan is empty.
"""

from collections.abc import Iterator
from typing import Any

from scripts.deployment.offline import ACCOUNT

KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"


def applied(plan: dict[str, Any]) -> dict[str, Any]:
    """The state (format version 4) after a plan (`terraform show -json`)."""
    schemas = dict(_schema_versions(plan["planned_values"]["root_module"]))
    resources: dict[tuple[str, ...], dict[str, Any]] = {}
    for it in plan["resource_changes"]:
        if it["mode"] != "managed" or it["change"]["after"] is None:
            continue
        place = (it.get("module_address", ""), it["type"], it["name"], it["provider_name"])
        resource = resources.setdefault(place, _resource(*place))
        instance = {"schema_version": schemas[it["address"]], "attributes": _attributes(it)}
        resource["instances"].append(instance | ({"index_key": it["index"]} if "index" in it else {}))
    return {
        "version": 4,
        "terraform_version": plan["terraform_version"],
        "serial": 1,
        "lineage": KEY_ID,
        "outputs": {
            name: {"value": output["value"], "type": output["type"]}
            for name, output in plan["planned_values"]["outputs"].items()
            if "value" in output
        },
        "resources": list(resources.values()),
    }


def _resource(module: str, kind: str, name: str, provider: str) -> dict[str, Any]:
    resource = {
        "mode": "managed",
        "type": kind,
        "name": name,
        "provider": f'provider["{provider}"]',
        "instances": [],
    }
    return resource | ({"module": module} if module else {})


def _schema_versions(module: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for resource in module.get("resources", []):
        yield resource["address"], resource["schema_version"]
    for child in module.get("child_modules", []):
        yield from _schema_versions(child)


def _attributes(it: dict[str, Any]) -> dict[str, Any]:
    change = it["change"]
    attributes = dict(change["after"])
    for name, unknown in change["after_unknown"].items():
        if unknown is True:
            attributes[name] = (change["before"] or {}).get(name) or _made_up(it, name)
    if it["type"] == "terraform_data":
        attributes["output"] = attributes.get("input")
        # Values of any type are kept with it.
        attributes |= {
            name: {"value": attributes[name], "type": "string"}
            for name in ("input", "output", "triggers_replace")
            if attributes.get(name) is not None
        }
    return attributes


def _made_up(it: dict[str, Any], name: str) -> str | list[str] | None:
    """A value for what only AWS knows; None where no resource refers to it."""
    own = it["change"]["after"].get("name") or it["address"]
    resource = f"key/{KEY_ID}" if it["type"] == "aws_kms_key" else own
    return {
        "alarm_arns": [],
        "arn": f"arn:aws:{it['type'].split('_')[1]}:us-east-1:{ACCOUNT}:{resource}",
        "function_version": "1",
        "id": own,
        "key_id": KEY_ID,
        "managed_policy_arns": [],
        "url": f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{own}",
        "version": "1",
    }.get(name)
