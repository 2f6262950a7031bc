"""A plan's summary as Markdown, for a terminal and for a pull request's comment alike."""

import re

from scripts.operations import prices
from scripts.operations.plan_summary import ACTIONS, SIGNS, Change, Cost, Summary
from scripts.operations.prices import Line

# GitHub refuses comments of more than 65,536 characters.
COMMENT_CHARACTERS = 60_000
MARK = "<!-- scones plan {} -->"


def summary(it: Summary) -> str:
    """The summary: what changes where, what is dangerous, what it costs."""
    parts = [f"## Plan for {it.environment}: {_headline(it)}", f"Planned against {it.basis}."]
    if it.dangers:
        parts.append(_dangers(it.dangers))
    parts.append(_rules(it))
    if it.changes:
        parts += [_modules(it), _changes(it), _thresholds(it)]
    parts.append(_cost(it.cost))
    return "\n\n".join(part for part in parts if part) + "\n"


def comment(it: Summary, plan: str) -> str:
    """The summary, with Terraform's own plan folded away under it and cut to a comment's length."""
    head = f"{MARK.format(it.environment)}\n{summary(it)}"
    room = COMMENT_CHARACTERS - len(head)
    if len(plan) > room:
        plan = f"{plan[:room]}\n... cut here: a comment holds no more; the whole plan is in the job's log."
    # A fence as long as the box's own would end it, so its own is longer than any in the plan's
    # text.
    fence = "`" * (1 + max([2, *map(len, re.findall("`+", plan))]))
    return f"{head}\n<details><summary>Terraform's plan</summary>\n\n{fence}text\n{plan}\n{fence}\n\n</details>\n"


def _headline(it: Summary) -> str:
    if not it.changes:
        return "no changes"
    words = {
        "create": "to add",
        "update": "to change in place",
        "replace": "to replace",
        "destroy": "to destroy",
    }
    return ", ".join(f"{it.counts[action]} {words[action]}" for action in ACTIONS if it.counts[action])


def _dangers(changes: list[Change]) -> str:
    lost = [f"{it.action}s the {it.precious} `{it.address}`: {it.why}" for it in changes if it.loses]
    weaker = [f"`{it.address}`: {words}" for it in changes for words in it.weakens]
    lines = []
    if lost:
        lines += ["**Data, an endpoint or a key is replaced or destroyed:**", "", *map("- {}".format, lost)]
    if weaker:
        lines += [""] * bool(lost)
        lines += ["**Data is kept less safely or reached by others:**", "", *map("- {}".format, weaker)]
    return "\n".join(["> [!CAUTION]", *(f"> {line}".rstrip() for line in lines)])


def _rules(it: Summary) -> str:
    """Whether the plan keeps the project's rules, and whether anybody would hear of a failure."""
    lines = ["The project's rules for plans hold (`make policy` runs the other gates)."]
    if it.broken:
        lines = ["> [!CAUTION]", "> **Rules broken:**", ">", *(f"> - {rule}" for rule in it.broken)]
    if it.unheard:
        lines.append(f"\nNobody receives alerts of: {', '.join(it.unheard)}. Name somebody in `subscribers`.")
    return "\n".join(lines)


def _modules(it: Summary) -> str:
    rows = [
        f"| `{name}` | " + " | ".join(str(counts[action] or "") for action in ACTIONS) + " |"
        for name, counts in it.modules.items()
    ]
    return "| module | add | change | replace | destroy |\n|---|--:|--:|--:|--:|\n" + "\n".join(rows)


def _changes(it: Summary) -> str:
    """Every change but plain additions."""
    lines = []
    for change in it.changes:
        if change.action != "create":
            what = change.why if change.action != "update" else ", ".join(change.attributes)
            lines.append(f"- `{SIGNS[change.action]}` `{change.address}`: {what}")
    return "\n".join(lines)


def _thresholds(it: Summary) -> str:
    if not it.thresholds:
        return ""
    rows = [
        f"| `{model}` | " + " | ".join("none" if value is None else f"{value:g}" for value in values) + " |"
        for model, values in it.thresholds.items()
    ]
    return "\n".join(["| model | threshold now | then |", "|---|--:|--:|", *rows])


def _cost(cost: Cost) -> str:
    volume, table = cost.after.volume, prices.table()
    pictures = (
        f"At {volume.pictures:,} pictures of {volume.megabytes:g} MB a month, all accepted: ${cost.after.per_picture:.5f} "
        f"for a picture, ${cost.after.per_further_picture:.5f} for one more."
    )
    terms = (
        f"List prices of {table['date']} in {' and '.join(table['regions'])} (`scripts/operations/prices.json`), "
        "without free tier, taxes, transfers, training jobs and images in the registry. The functions' seconds are assumed."
    )
    headline = f"### About ${cost.after.usd:,.2f} a month ({cost.difference:+,.2f})"
    notes = [f"Note: {note}." for note in cost.after.notes]
    return "\n\n".join([headline, pictures, _items(cost), terms, *notes])


def _items(cost: Cost) -> str:
    before = {line.item: line.usd for line in cost.before.lines}
    after = {line.item: line for line in cost.after.lines}
    rows = ["| item | now $ | then $ | formula |", "|---|--:|--:|---|"]
    for item in dict.fromkeys([*after, *before]):
        line = after.get(item, Line(item, "", 0.0))
        rows.append(f"| {item} | {before.get(item, 0):,.2f} | {line.usd:,.2f} | {line.formula} |")
    return "\n".join(rows)
