"""The state machines on disk, composed as Terraform composes them."""

import json
from pathlib import Path
from typing import Any

from scripts.common.paths import ROOT

MACHINES = ROOT / "statemachine"


def machines(folder: Path = MACHINES) -> list[Path]:
    """The files that no other file includes."""
    paths = sorted(folder.glob("*.asl.json"))
    texts = "".join(path.read_text(encoding="utf-8") for path in paths)
    return [path for path in paths if f'"{path.name}"' not in texts]


def read(path: Path) -> dict[str, Any]:
    """A machine with the files that it includes, which Terraform composes the same way."""

    def whole(value: Any) -> Any:
        if isinstance(value, str) and value.endswith(".asl.json"):
            return whole(json.loads((path.parent / value).read_text(encoding="utf-8")))
        if isinstance(value, dict):
            return {name: whole(inner) for name, inner in value.items()}
        return [whole(inner) for inner in value] if isinstance(value, list) else value

    machine: dict[str, Any] = whole(json.loads(path.read_text(encoding="utf-8")))
    return machine
