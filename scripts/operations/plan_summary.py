"""A Terraform plan that people can read in a minute: counts, dangers, changes, costs.

Reads the JSON of `terraform show -json PLAN`
(https://developer.hashicorp.com/terraform/internals/json-format).
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from scripts.operations import plan_dangers, prices
from scripts.operations.prices import Estimate, Volume

ACTIONS = ("create", "update", "replace", "destroy")
SIGNS = {"create": "+", "update": "~", "replace": "-/+", "destroy": "-"}

# What people would miss, or what would stop answering, if it were replaced or destroyed.
PRECIOUS = {
    "aws_cloudwatch_log_group": "data",
    "aws_dynamodb_table": "data",
    "aws_ecr_repository": "data",
    "aws_s3_bucket": "data",
    "aws_sqs_queue": "data",
    "aws_sagemaker_endpoint": "endpoint",
    "aws_kms_alias": "key",
    "aws_kms_key": "key",
}
JUDGE = 'module.function["filter_inferences"].aws_lambda_function.this'
REASONS = {
    "replace_because_tainted": "its creation failed half-way",
    "replace_by_request": "asked for with -replace",
    "replace_by_triggers": "what it is tied to changes (replace_triggered_by)",
    "delete_because_no_resource_config": "it is no longer in the configuration",
    "delete_because_no_module": "its module is no longer in the configuration",
    "delete_because_wrong_repetition": "it is now counted otherwise in the configuration",
    "delete_because_count_index": "its index is out of count's range",
    "delete_because_each_key": "its key is no longer in for_each",
    "delete_because_no_move_target": "what it should move to is not in the configuration",
}


@dataclass(frozen=True)
class Change:
    """One resource that a plan changes, and the attributes that change or force it.

    `weakens` names the protections that it removes without replacing or destroying anything
    precious.
    """

    address: str
    module: str
    action: str
    precious: str | None
    attributes: list[str]
    forced_by: list[str]
    reason: str | None
    weakens: list[str]

    @property
    def loses(self) -> bool:
        """Whether something precious is replaced or destroyed."""
        return self.precious is not None and self.action in ("replace", "destroy")

    @property
    def dangerous(self) -> bool:
        return self.loses or bool(self.weakens)

    @property
    def why(self) -> str:
        """What forces the replacement or removal, in words."""
        return ", ".join(self.forced_by) or self.reason or ""


@dataclass(frozen=True)
class Cost:
    """A month's costs before and after a plan, at one volume."""

    before: Estimate
    after: Estimate

    @property
    def difference(self) -> float:
        return self.after.usd - self.before.usd


@dataclass(frozen=True)
class Summary:
    """A plan's changes and costs; `environment` and `basis` say what was compared with what.

    `broken` are the project's rules that the plan breaks, `unheard` the categories of alerts that
    reach nobody, `thresholds` those that change, by model: before and after, None where the model
    is unknown.
    """

    environment: str
    basis: str
    changes: list[Change]
    cost: Cost
    broken: list[str]
    unheard: list[str]
    thresholds: dict[str, tuple[float | None, float | None]]

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(change.action for change in self.changes)

    @cached_property
    def modules(self) -> dict[str, Counter[str]]:
        """Counts by module, in the order of their names."""
        names = sorted({change.module for change in self.changes})
        return {
            name: Counter(change.action for change in self.changes if change.module == name) for name in names
        }

    @property
    def dangers(self) -> list[Change]:
        return [change for change in self.changes if change.dangerous]

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        cost = self.cost
        return {
            "environment": self.environment,
            "basis": self.basis,
            "counts": {action: self.counts[action] for action in ACTIONS},
            "modules": {
                name: {action: counts[action] for action in ACTIONS} for name, counts in self.modules.items()
            },
            "dangers": [change.address for change in self.dangers],
            "broken_rules": self.broken,
            "unheard_categories": self.unheard,
            "changes": [asdict(change) for change in self.changes],
            "thresholds": {
                model: {"before": before, "after": after}
                for model, (before, after) in self.thresholds.items()
            },
            "monthly_usd": {
                "before": round(cost.before.usd, 4),
                "after": round(cost.after.usd, 4),
                "difference": round(cost.difference, 4),
                "per_picture": cost.after.per_picture,
                "per_further_picture": cost.after.per_further_picture,
                "volume": asdict(cost.after.volume),
                "lines": [asdict(line) for line in cost.after.lines],
                "notes": cost.after.notes,
                "prices_of": prices.table()["date"],
            },
        }


def summarise(
    plan: dict[str, Any], environment: str, basis: str, volume: Volume, broken: list[str]
) -> Summary:
    """The summary of a plan as `terraform show -json` gives it, and of the rules that it breaks."""
    region = plan["planned_values"]["outputs"]["region"]["value"]
    before = (plan.get("prior_state") or {}).get("values") or {}
    after = resources(plan["planned_values"])
    cost = Cost(prices.estimate(resources(before), region, volume), prices.estimate(after, region, volume))
    return Summary(
        environment, basis, list(changes(plan)), cost, broken, _unheard(after), _changed_thresholds(plan)
    )


def _changed_thresholds(plan: dict[str, Any]) -> dict[str, tuple[float | None, float | None]]:
    changes = plan.get("resource_changes", [])
    judge: dict[str, Any] = next((it["change"] for it in changes if it["address"] == JUDGE), {})
    before, after = (_thresholds(judge.get(moment)) for moment in ("before", "after"))
    both = {model: (before.get(model), after.get(model)) for model in sorted({*before, *after})}
    return {model: (old, new) for model, (old, new) in both.items() if old != new}


def _thresholds(function: dict[str, Any] | None) -> dict[str, float]:
    environment = (function or {}).get("environment") or [{}]
    return json.loads((environment[0].get("variables") or {}).get("THRESHOLDS", "{}"))


def _unheard(after: list[dict[str, Any]]) -> list[str]:
    """Categories of failures that no subscription receives."""
    heard = {
        category
        for it in after
        if it["type"] == "aws_sns_topic_subscription"
        for category in json.loads(it["values"].get("filter_policy") or "{}").get("category", [])
    }
    return sorted({"alarm", "system"} - heard)


def resources(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Every managed resource of a state's or plan's values, those of child modules included."""
    return list(_resources(values.get("root_module") or {}))


def _resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (resource for resource in module.get("resources", []) if resource["mode"] == "managed")
    for child in module.get("child_modules", []):
        yield from _resources(child)


def changes(plan: dict[str, Any]) -> Iterator[Change]:
    """Every managed resource that a plan creates, changes, replaces or destroys."""
    every = plan.get("resource_changes", [])
    new = {it["type"] for it in every if _action(it["change"]["actions"]) == "create"}
    for it in every:
        change = it["change"]
        action = _action(change["actions"])
        if it["mode"] != "managed" or action is None:
            continue
        yield Change(
            address=it["address"],
            module=it.get("module_address", "root"),
            action=action,
            precious=PRECIOUS.get(it["type"]),
            attributes=sorted(_changed(change)) if action in ("update", "replace") else [],
            forced_by=_forced_by(change.get("replace_paths", [])),
            reason=REASONS.get(it.get("action_reason", "")),
            weakens=_weakens(it["type"], action, change, new),
        )


def _weakens(kind: str, action: str, change: dict[str, Any], new: set[str]) -> list[str]:
    """What a change weakens: nothing if the resource is new, or precious and lost anyway."""
    part_of_older = kind in plan_dangers.PART_OF and plan_dangers.PART_OF[kind] not in new
    if (action == "create" and not part_of_older) or (action != "update" and kind in PRECIOUS):
        return []
    return plan_dangers.weakened(
        kind, change["before"] or {}, change["after"] or {}, change.get("after_unknown") or {}
    )


def _action(actions: list[str]) -> str | None:
    """One of ACTIONS for Terraform's list of actions; None where nothing changes."""
    if set(actions) == {"create", "delete"}:
        return "replace"
    return {"create": "create", "update": "update", "delete": "destroy"}.get(actions[0])


def _changed(change: dict[str, Any]) -> set[str]:
    """Names of the attributes that differ; if none does, of those that only the apply will show."""
    before, after, unknown = change["before"], change["after"], change["after_unknown"]
    known = {name for name in after if name not in unknown and before.get(name) != after[name]}
    return known or {name for name, value in unknown.items() if value is True}


def _forced_by(paths: list[list[str | int]]) -> list[str]:
    """The attributes that force a replacement; several in one block are listed as that block."""
    by_attribute: dict[str, list[str]] = {}
    for first, *rest in paths:
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in rest)
        by_attribute.setdefault(str(first), []).append(f"{first}{path}")
    return sorted(inner[0] if len(inner) == 1 else name for name, inner in by_attribute.items())
