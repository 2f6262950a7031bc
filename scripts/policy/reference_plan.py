"""The one plan that every gate judges, and how to read a plan's JSON (`terraform show -json`).

It is production's first apply with everything on: a model, a subscriber, capture, a budget. What only AWS knows before
the apply (ids, the key's ARN) is filled in where the configuration sets it, so that no gate can take "not known yet"
for "not set", or pass because there was nothing to look at. What is filled in says what the configuration refers to.
https://developer.hashicorp.com/terraform/internals/json-format
"""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

from scripts.common.paths import ROOT
from scripts.deployment.offline import OfflineModule


def packaged(module: OfflineModule) -> OfflineModule:
    """The module with a folder as `make package` leaves it; a plan reads nothing of a zip but its hash."""
    folder = module.folder.parent / "packages"
    folder.mkdir(exist_ok=True)
    for handler in (ROOT / "functions").glob("*/handler.py"):
        (folder / f"{handler.parent.name}.zip").write_bytes(handler.parent.name.encode())
    manifest = {"runtime": "python3.13", "architecture": "arm64", "functions": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return replace(module, variables=module.variables | {"TF_VAR_package_dir": str(folder)})


def in_text(value: Any) -> Any:
    """The object or list that a text holds as JSON; any other value as it is."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        with suppress(ValueError):
            return json.loads(value)
    return value
