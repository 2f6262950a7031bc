"""Draws the state machines on disk as Mermaid diagrams into docs/workflow.md.

python -m scripts.devtools.state_diagrams
"""

import re
from collections.abc import Iterator
from typing import Any

from scripts.common.paths import ROOT
from scripts.deployment.state_machines import machines, read

PAGE = ROOT / "docs" / "workflow.md"
LONGEST_CONDITION = 48
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
CLASSES = {
    "succeeds": "fill:#dafbe1,stroke:#1a7f37,color:#0b3d1a",
    "fails": "fill:#ffebe9,stroke:#cf222e,color:#67060c",
    "returns": "fill:#ddf4ff,stroke:#0969da,color:#0a3069",
}
INTRODUCTION = """\
# The workflow in pictures

`make diagrams` draws this page from `statemachine/*.asl.json`; a test checks that it shows what is on
disk. Solid arrows lead to the next state. Dashed arrows are caught errors, with their names. Green ends
succeed, red ones fail, blue ones return to the state around them. A box around states is a Parallel or a
Map. [Operations](operations.md) explains each named error.
"""


def page() -> str:
    """The whole of docs/workflow.md: one section for each machine, an included file drawn where it is included."""
    sections = [INTRODUCTION]
    for path in machines():
        machine = read(path)
        name = path.name.partition(".")[0]
        sections.append(f"## {name}\n\n{machine['Comment']}\n\n```mermaid\n{diagram(machine)}```\n")
    return "\n".join(sections)


def diagram(machine: dict[str, Any]) -> str:
    """A Mermaid flowchart of a machine: https://mermaid.js.org/syntax/flowchart.html"""
    lines = ["flowchart TD", *_states(machine, "", "  ")]
    lines += [f"  classDef {name} {style}" for name, style in CLASSES.items()]
    return "\n".join(lines) + "\n"


def _states(machine: dict[str, Any], prefix: str, indent: str) -> Iterator[str]:
    """The states of one machine, branch or item processor: a circle for the start, nodes and boxes, then the arrows."""
    yield f'{indent}{prefix}start((" "))'
    for name, state in machine["States"].items():
        identity = prefix + name
        inner = _inside(state)
        if inner:
            yield f'{indent}subgraph {identity}["{_box(name, state)}"]'
            yield f"{indent}  direction TB"
            for number, each in enumerate(inner):
                below = f"{identity}_" if len(inner) == 1 else f"{identity}_{number}_"
                yield from _states(each, below, indent + "  ")
            yield f"{indent}end"
        else:
            yield indent + _node(identity, name, state, is_outermost=not prefix)
    yield f"{indent}{prefix}start --> {prefix}{machine['StartAt']}"
    for name, state in machine["States"].items():
        for arrow, label, target in _arrows(state):
            text = f'|"{_text(label)}"|' if label else ""
            yield f"{indent}{prefix}{name} {arrow}{text} {prefix}{target}"


def _inside(state: dict[str, Any]) -> list[dict[str, Any]]:
    processor = [state["ItemProcessor"]] if "ItemProcessor" in state else []
    return [*state.get("Branches", []), *processor]


def _box(name: str, state: dict[str, Any]) -> str:
    mode = state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode", "").lower()
    kind = f"{mode} map, for each item" if state["Type"] == "Map" else "parallel"
    return f"{name}: {kind.strip()}"


def _node(identity: str, name: str, state: dict[str, Any], *, is_outermost: bool) -> str:
    detail = "".join(f"<br/><small>{_text(line)}</small>" for line in _details(state))
    opening, closing = {
        "Choice": ("{", "}"),
        "Pass": ("[/", "/]"),
        "Succeed": ("([", "])"),
        "Fail": ("([", "])"),
    }.get(state["Type"], ("[", "]"))
    ends = {"Succeed": "succeeds", "Fail": "fails"}.get(state["Type"])
    if state.get("End"):
        ends = "succeeds" if is_outermost else "returns"
    return f'{identity}{opening}"{name}{detail}"{closing}{f":::{ends}" if ends else ""}'


def _details(state: dict[str, Any]) -> Iterator[str]:
    """What a task calls, and how often it is tried again."""
    if state["Type"] != "Task":
        return
    function = state.get("Arguments", {}).get("FunctionName")
    yield f"Lambda {function.strip('<>')}" if function else state["Resource"].partition(":::")[2]
    if retries := sum(each.get("MaxAttempts", 3) for each in state.get("Retry", [])):
        yield f"up to {retries} retries"


def _arrows(state: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(arrow, label, target) for each way out of a state."""
    for choice in state.get("Choices", []):
        yield "-->", _short(choice["Condition"]), choice["Next"]
    if "Default" in state:
        yield "-->", "otherwise", state["Default"]
    if "Next" in state:
        yield "-->", "", state["Next"]
    for catch in state.get("Catch", []):
        names = ", ".join("any error" if name == "States.ALL" else name for name in catch["ErrorEquals"])
        yield "-.->", names, catch["Next"]


def _short(condition: str) -> str:
    """The last step of a condition, which decides: the steps before it only give names."""
    plain = " ".join(COMMENT.sub("", condition.removeprefix("{%").removesuffix("%}")).split())
    if plain.startswith("( "):
        plain = plain.removesuffix(" )").rpartition("; ")[2]
    return plain if len(plain) <= LONGEST_CONDITION else plain[: LONGEST_CONDITION - 1] + "…"


def _text(text: str) -> str:
    """Text within Mermaid's quotes, where these four would end it or be read as markup."""
    return text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
