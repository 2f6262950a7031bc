"""IAM's policy language: whether the policies that apply to a call allow it, and by which statements.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

# Key in small letters, and the values that a call has for it.
Context = tuple[tuple[str, tuple[str, ...]], ...]
KEPT_DECISIONS = 8192


class UnknownPolicy(Exception):
    """A policy uses a part of the language that is not emulated: better no answer than a wrong one."""


class Call(NamedTuple):
    """One call, as IAM sees it: `principal` is the ARN of a role, or the name of a service on its own behalf."""

    principal: str
    action: str
    resource: str
    context: Context = ()


class Document(NamedTuple):
    """A policy and whose it is: the ARN of the role, or of the resource it is attached to."""

    owner: str
    text: str


class Policies(NamedTuple):
    """The policies that apply to a call: the role's own, its boundary, and the resource's."""

    identity: tuple[Document, ...] = ()
    boundary: Document | None = None
    resource: Document | None = None


class Decision(NamedTuple):
    """`by` names the statements, as (owner, Sid), that allowed the call or that denied it; none if nothing did."""

    allowed: bool
    by: tuple[tuple[str, str], ...]
    reason: str


class Statement:
    """One statement of a policy. Raises UnknownPolicy."""

    def __init__(self, owner: str, number: int, statement: dict[str, Any]) -> None:
        if unknown := set(statement) & {"NotAction", "NotResource", "NotPrincipal"}:
            raise UnknownPolicy(f"{owner} uses {', '.join(sorted(unknown))}, which is not emulated")
        self.name = (owner, statement.get("Sid") or f"statement {number}")
        self.allows = statement["Effect"] == "Allow"
        self._actions = _any_of(_listed(statement["Action"]), re.IGNORECASE)
        # The policy that says who assumes a role has no resource.
        self._resources = _any_of(_listed(statement.get("Resource", "*")))
        self._principals = _principals(statement.get("Principal", {}))
        self._tests = [
            _test(operator, key.lower(), _listed(values))
            for operator, tests in statement.get("Condition", {}).items()
            for key, values in tests.items()
        ]

    def covers(self, call: Call) -> bool:
        """Whether action, resource and conditions fit; the principal is another matter."""
        if not self._actions(call.action) or not self._resources(call.resource):
            return False
        context = dict(call.context)
        return all(test(context) for test in self._tests)

    def names(self, principal: str) -> bool:
        return "*" in self._principals or principal in self._principals

    @property
    def names_account(self) -> bool:
        """Whether it leaves the decision to the account's own policies."""
        return any(name.endswith(":root") for name in self._principals)


@lru_cache(KEPT_DECISIONS)
def decide(call: Call, policies: Policies) -> Decision:
    """Whether the policies allow the call: a denial overrules everything that allows, and silence denies.

    A role is allowed by its own policies, or by the resource's if that names the role; a key's policy must
    allow it as well. Only a role's own policy decides who assumes it. A service is allowed by the resource's
    policy.
    Raises UnknownPolicy.
    """
    own = [each for document in policies.identity for each in _covering(document, call)]
    bounds = _covering(policies.boundary, call)
    others = _covering(policies.resource, call)
    naming = [each for each in others if each.names(call.principal)]
    if denials := _names(each for each in (*own, *bounds, *naming) if not each.allows):
        return Decision(allowed=False, by=denials, reason="with an explicit deny")
    granted = _names(each for each in own if each.allows)
    if policies.boundary is not None and not bounds:
        granted = ()
    invited = _names(each for each in naming if each.allows)
    if not call.principal.startswith("arn:") or call.action == "sts:AssumeRole":
        return _because(invited, f"because no resource-based policy allows the {call.action} action")
    if call.action.startswith("kms:") and not invited:
        delegated = _names(each for each in others if each.allows and each.names_account)
        if not delegated:
            return _because((), f"because no resource-based policy allows the {call.action} action")
        return _because(granted and granted + delegated, _silence(call, policies))
    return _because(granted + invited, _silence(call, policies))


def _because(by: tuple[tuple[str, str], ...], reason: str) -> Decision:
    return Decision(bool(by), by, "" if by else reason)


def _silence(call: Call, policies: Policies) -> str:
    kind = (
        "identity-based policy" if policies.boundary is None else "identity-based policy within its boundary"
    )
    return f"because no {kind} allows the {call.action} action"


def _names(statements: Iterable[Statement]) -> tuple[tuple[str, str], ...]:
    return tuple(each.name for each in statements)


def _covering(document: Document | None, call: Call) -> list[Statement]:
    return [each for each in _statements(document) if each.covers(call)] if document else []


@lru_cache(1024)
def _statements(document: Document) -> tuple[Statement, ...]:
    listed = _listed(json.loads(document.text).get("Statement", []))
    return tuple(Statement(document.owner, number, each) for number, each in enumerate(listed, start=1))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _principals(principal: Any) -> set[str]:
    if isinstance(principal, str):
        return {principal}
    return {str(name) for names in principal.values() for name in _listed(names)}


def _any_of(patterns: list[str], flags: int = 0) -> Callable[[str], Any]:
    return re.compile("|".join(map(_expression, patterns)), flags).fullmatch


def _expression(pattern: str) -> str:
    """A pattern's `*` and `?` as a regular expression."""
    if "${" in pattern:
        raise UnknownPolicy(f"{pattern} has a variable, which is not emulated")
    return "".join({"*": "(?s:.*)", "?": "(?s:.)"}.get(letter, re.escape(letter)) for letter in pattern)


def _same(expected: str) -> Callable[[str], Any]:
    return expected.__eq__


def _same_word(expected: str) -> Callable[[str], Any]:
    return lambda actual: actual.lower() == str(expected).lower()


def _like(expected: str) -> Callable[[str], Any]:
    return re.compile(_expression(expected)).fullmatch


def _like_arn(expected: str) -> Callable[[str], Any]:
    """Each of an ARN's six parts is a pattern of its own."""
    parts = [_like(part) for part in expected.split(":", 5)]

    def fits(actual: str) -> bool:
        words = actual.split(":", 5)
        return len(words) == len(parts) and all(part(word) for part, word in zip(parts, words, strict=True))

    return fits


OPERATORS: dict[str, Callable[[str], Callable[[str], Any]]] = {
    "StringEquals": _same,
    "StringLike": _like,
    "ArnEquals": _like_arn,
    "ArnLike": _like_arn,
    "Bool": _same_word,
}


def _test(operator: str, key: str, expected: list[Any]) -> Callable[[dict[str, tuple[str, ...]]], bool]:
    """One condition, as a function of a call's context. Raises UnknownPolicy."""
    if operator == "Null":
        absent = [str(value).lower() == "true" for value in expected]
        return lambda context: (key not in context) in absent
    name = operator.removeprefix("ForAnyValue:")
    optional = name.endswith("IfExists")
    kind = name.removesuffix("IfExists")
    negated = kind.startswith(("StringNot", "ArnNot"))
    kind = kind.replace("Not", "", 1) if negated else kind
    if kind not in OPERATORS:
        raise UnknownPolicy(f"the condition operator {operator} is not emulated")
    fitting = [OPERATORS[kind](str(value)) for value in expected]

    def holds(context: dict[str, tuple[str, ...]]) -> bool:
        if key not in context:
            return optional or negated
        return any(fits(value) for value in context[key] for fits in fitting) is not negated

    return holds
