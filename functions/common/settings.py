"""A function's settings, read from its environment variables at every call.

Terraform writes them; each reader raises Misconfigured with the variable's name when a value cannot be used.
"""

import json
import os

from functions.common.errors import Misconfigured
from functions.common.shown import shown


def text(name: str) -> str:
    value = os.environ.get(name, "")
    if not value.strip():
        raise Misconfigured(f"The environment variable {name} is not set; promote a model and apply.")
    return value


def labels(name: str) -> list[str]:
    """A JSON list of one or more different, non-empty strings."""
    value = text(name)
    try:
        items = json.loads(value)
    except ValueError:
        items = None
    if not (
        isinstance(items, list)
        and items
        and all(isinstance(item, str) and item for item in items)
        and len(set(items)) == len(items)
    ):
        raise Misconfigured(
            f"The environment variable {name} is {shown(value)}, not a JSON list of different names;"
            " promote a model again and apply."
        )
    return items


def probabilities(name: str) -> dict[str, float]:
    """A JSON object of one or more names, each with a number above 0 and at most 1."""
    value = text(name)
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    usable = isinstance(found, dict) and all(
        type(number) in (int, float) and 0 < number <= 1  # also false for NaN
        for number in found.values()
    )
    if not (usable and found):
        raise Misconfigured(
            f"The environment variable {name} is {shown(value)}, not a JSON object of names with numbers above 0 and"
            " at most 1; promote a model again and apply."
        )
    return found


def pixels(name: str) -> int:
    """A side length in pixels, 1 to 240.

    240 x 240 random pixels still fit, as base64 of a PNG, into the 256 KiB that Step Functions hands from
    state to state: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
    """
    value = text(name)
    if not (value.isascii() and value.isdigit() and len(value) <= 3 and 1 <= int(value) <= 240):
        raise Misconfigured(
            f"The environment variable {name} is {shown(value)}; set a number of pixels from 1 to 240 and apply."
        )
    return int(value)
