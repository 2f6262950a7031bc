"""The state machines on disk, composed as Terraform composes them."""

import json
from pathlib import Path
from typing import Any

from scripts.common.paths import ROOT

MACHINES = ROOT / "statemachine"
INCLUDED = (".json", ".jsonata", ".txt")


def machines() -> list[Path]:
    """The files that no other file includes."""
    paths = sorted(MACHINES.glob("*.asl.json"))
    texts = "".join(path.read_text(encoding="utf-8") for path in paths)
    return [path for path in paths if f'"{path.name}"' not in texts]


def read(path: Path) -> Any:
    """A file with everything that it includes: JSON as it is, a JSONata expression, or a text on one line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonata":
        return f"{{% {text.strip()} %}}"
    return _whole(json.loads(text)) if path.suffix == ".json" else " ".join(text.split())


def _whole(value: Any) -> Any:
    if isinstance(value, str) and value.endswith(INCLUDED):
        return read(MACHINES / value)
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value
