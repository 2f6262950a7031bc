"""Event patterns of EventBridge rules.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

from __future__ import annotations

import ipaddress
import operator
import re
from typing import Any

_ABSENT = object()
_COMPARISONS = {"<": operator.lt, "<=": operator.le, "=": operator.eq, ">=": operator.ge, ">": operator.gt}


def matches(pattern: dict[str, Any], event: Any) -> bool:
    """Whether the event has, for every field of the pattern, one of the values asked for."""
    for field, wanted in pattern.items():
        if field == "$or":
            if not any(matches(each, event) for each in wanted):
                return False
            continue
        actual = event.get(field, _ABSENT) if isinstance(event, dict) else _ABSENT
        if isinstance(wanted, dict):
            candidates = actual if isinstance(actual, list) else [actual]
            if not any(matches(wanted, each) for each in candidates):
                return False
        elif not any(_matches_value(rule, actual) for rule in wanted):
            return False
    return True


def _matches_value(rule: Any, actual: Any) -> bool:
    if isinstance(rule, dict) and "exists" in rule:
        return (actual is not _ABSENT and not isinstance(actual, dict)) == rule["exists"]
    if actual is _ABSENT:
        return False
    values = actual if isinstance(actual, list) else [actual]
    return any(_matches_one(rule, value) for value in values)


def _matches_one(rule: Any, value: Any) -> bool:
    if not isinstance(rule, dict):
        return value == rule and isinstance(value, bool) == isinstance(rule, bool)
    name, argument = next(iter(rule.items()))
    if name == "anything-but":
        return _matches_anything_but(argument, value)
    if name == "numeric":
        pairs = zip(argument[::2], argument[1::2], strict=True)
        return _is_number(value) and all(_COMPARISONS[sign](value, limit) for sign, limit in pairs)
    return isinstance(value, str) and _matches_text(name, argument, value)


def _matches_anything_but(argument: Any, value: Any) -> bool:
    if isinstance(argument, dict):
        name, texts = next(iter(argument.items()))
        texts = texts if isinstance(texts, list) else [texts]
        return not any(isinstance(value, str) and _matches_text(name, text, value) for text in texts)
    return value not in (argument if isinstance(argument, list) else [argument])


def _matches_text(name: str, argument: Any, value: str) -> bool:
    if name in ("prefix", "suffix") and isinstance(argument, dict):
        argument, value = argument["equals-ignore-case"].lower(), value.lower()
    if name == "prefix":
        return value.startswith(argument)
    if name == "suffix":
        return value.endswith(argument)
    if name == "equals-ignore-case":
        return value.lower() == argument.lower()
    if name == "wildcard":
        return re.fullmatch(_wildcard(argument), value, re.DOTALL) is not None
    if name == "cidr":
        return ipaddress.ip_address(value) in ipaddress.ip_network(argument)
    raise ValueError(f"Event pattern operator {name!r} is not known")


def _wildcard(text: str) -> str:
    parts = re.split(r"(\\.|\*)", text)
    return "".join(".*" if part == "*" else re.escape(part.removeprefix("\\")) for part in parts)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
