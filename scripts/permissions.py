"""Who may do what: every policy statement of the judged plan as tables in docs/permissions.md.

Nothing is shortened away: whatever changes a statement changes a line of the table, so a change of permissions is
always part of a review.
"""

from collections.abc import Iterator
from typing import Any

from scripts.judged_plan import REGION, Plan, listed, resources, statements
from scripts.offline_terraform import ACCOUNT
from scripts.terraform_cli import ROOT

PAGE = ROOT / "docs" / "permissions.md"
INTRODUCTION = """# Who may do what

Written by `make permissions` from production's plan with everything on; `make policy` fails where this page is not
what the plan says. ARNs are given without `arn:aws:`. What the statements promise: [security.md](security.md).
"""
HEADER = "| statement | lets | do | on | if |\n|---|---|---|---|---|"


def table(plan: Plan) -> str:
    """Markdown: one heading for each policy, one row for each statement."""
    blocks: dict[str, list[str]] = {}
    for address, attribute, statement in statements(plan):
        blocks.setdefault(_title(address, attribute), []).append(_row(statement))
    for _, after in resources(plan, "aws_lambda_permission"):
        blocks.setdefault(f"Invoking {after['function_name']}", []).append(_invocation(after))
    return "\n\n".join(
        "\n".join([f"**{title}**", "", HEADER, *rows]) for title, rows in sorted(blocks.items())
    )


def _title(address: str, attribute: str) -> str:
    what = {"assume_role_policy": "who assumes it"}.get(attribute, "policy")
    return f"`{address}`: {what}"


def _row(statement: dict[str, Any]) -> str:
    who = statement.get("Principal", "its role")
    cells = (
        _code([statement.get("Sid", "")]),
        _principal(who) + (" **not**" if statement["Effect"] == "Deny" else ""),
        _code(listed(statement.get("Action", statement.get("NotAction")))),
        _code(listed(statement.get("Resource", "the role"))),
        _code(list(_tests(statement.get("Condition", {})))),
    )
    return f"| {' | '.join(cells)} |"


def _invocation(after: dict[str, Any]) -> str:
    condition = {"ArnLike": {"aws:SourceArn": after.get("source_arn")}}
    function = f"{after['function_name']}:{after.get('qualifier')}"
    cells = (after["statement_id"], after["principal"], after["action"], function, *_tests(condition))
    return f"| {' | '.join(_code([cell]) for cell in cells)} |"


def _principal(who: Any) -> str:
    if isinstance(who, str):
        return "everybody" if who == "*" else who
    return _code([f"{kind} {name}" for kind, names in who.items() for name in listed(names)])


def _tests(condition: dict[str, Any]) -> Iterator[str]:
    for operator, tests in condition.items():
        for key, values in tests.items():
            yield f"{key} {operator} {', '.join(map(str, listed(values)))}"


def _code(texts: list[str]) -> str:
    """Texts in code style, each on a line of its own; the account and the region by their names."""
    named = [
        str(text).replace(ACCOUNT, "ACCOUNT").replace(REGION, "REGION").removeprefix("arn:aws:")
        for text in texts
    ]
    return "<br>".join(f"`{text}`" for text in named) if any(named) else ""


def page(plan: Plan) -> str:
    return f"{INTRODUCTION}\n{table(plan)}\n"


def broken(plan: Plan) -> list[str]:
    """What distinguishes the page from the plan: its first line, or nothing."""
    documented, planned = PAGE.read_text(encoding="utf-8"), page(plan)
    if documented == planned:
        return []
    lines = [it for it in planned.split("\n") if it not in documented] or ["something is there no more"]
    return [f"docs/permissions.md differs, first at: {lines[0]} (after a review: make permissions)"]


def write(plan: Plan) -> None:
    PAGE.write_text(page(plan), encoding="utf-8")
