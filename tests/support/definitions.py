"""State machines as Terraform composes them, filled with a test's own values."""

import json
import re
from typing import Any

from scripts.deployment import state_machines


def filled(name: str, **values: str) -> dict[str, Any]:
    """The machine in `name`.asl.json; a token without a value becomes its own name."""
    text = json.dumps(state_machines.read(state_machines.MACHINES / f"{name}.asl.json"))
    whole: dict[str, Any] = json.loads(
        re.sub(r"<<([a-z_]+)>>", lambda token: values.get(token[1], token[1]), text)
    )
    return whole
