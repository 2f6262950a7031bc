"""JSONata as Step Functions speaks it, on top of the jsonata-python package.

Follows "Transforming data with JSONata in Step Functions"
(https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html): a string between `{%` and `%}` is
an expression, six functions are added, $eval is taken away, and an expression without a result is an error.
"""

import functools
import hashlib
import json
import math
import random
import re
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from jsonata.jexception import JException
from jsonata.jsonata import Jsonata
from jsonata.utils import Utils

EVALUATION_SECONDS = 5.0
HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
# JavaScript, and so JSONata, writes whole numbers out in full below this bound and as 1e21 from there.
WHOLE_NUMBER_BOUND = 1e21
PLAIN_PATH = re.compile(r"\$[A-Za-z]\w*(\.[A-Za-z]\w*)*", re.ASCII)


class QueryError(Exception):
    """An expression failed; `location` is the field that holds it, such as `Output/items[0]`."""

    def __init__(self, cause: str, location: str) -> None:
        super().__init__(cause)
        self.location = location


def is_expression(value: Any) -> bool:
    """Whether a value of a definition is a JSONata expression, not plain text."""
    return isinstance(value, str) and value.startswith("{%") and value.endswith("%}") and len(value) >= 4


def evaluate(template: Any, names: Mapping[str, Any], location: str) -> Any:
    """Replaces every expression in a JSON template by its result and returns plain JSON values.

    `names` maps variable names without `$` to values made by `to_jsonata`. Raises QueryError.
    """
    if isinstance(template, str):
        return _result(template[2:-2].strip(), names, location) if is_expression(template) else template
    if isinstance(template, dict):
        return {key: evaluate(value, names, f"{location}/{key}") for key, value in template.items()}
    if isinstance(template, list):
        return [evaluate(value, names, f"{location}[{index}]") for index, value in enumerate(template)]
    return template


def to_jsonata(value: Any) -> Any:
    """Copies a JSON value into the library's form, where None is undefined and null is an object of its own."""
    if value is None:
        return Utils.NULL_VALUE
    if isinstance(value, dict):
        return {key: to_jsonata(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_jsonata(item) for item in value]
    return value


def to_json(value: Any) -> Any:
    """Copies a result of the library into plain JSON values; raises TypeError for a function or a regex."""
    if value is None or value is Utils.NULL_VALUE:
        return None
    if isinstance(value, float):
        return _json_number(value)
    if isinstance(value, str | int):
        return value
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    raise TypeError("the result is a function or a regular expression, which JSON cannot express")


def _json_number(value: float) -> int | float:
    if not math.isfinite(value):
        raise TypeError("the result is not a finite number, which JSON cannot express")
    return int(value) if value.is_integer() and abs(value) < WHOLE_NUMBER_BOUND else value


def _result(text: str, names: Mapping[str, Any], location: str) -> Any:
    found = _scalar_at(text, names)
    if found is not None:
        return to_json(found)
    about = f"The JSONata expression '{text}' specified for the field '{location}'"
    try:
        compiled = compile_expression(text)
        # $now and $millis read the clock of the instance that the library thinks is running in this thread.
        Jsonata.CURRENT.jsonata = compiled
        result = compiled.evaluate(None, {**names, "__evaluate_entry": _time_limit()})
        if result is not None:
            return to_json(result)
    except JException as error:
        raise QueryError(
            f"{about} threw an error during evaluation. {error.error}: {error}", location
        ) from error
    except Exception as error:  # the library lets out whatever Python raises, for 1/0 for one
        raise QueryError(f"{about} threw an error during evaluation. {error}", location) from error
    raise QueryError(f"{about} returned nothing (undefined).", location)


def _scalar_at(text: str, names: Mapping[str, Any]) -> str | int | float | None:
    """What a mere path such as `$states.input.label` leads to, if it passes only objects and ends at a scalar.

    Half of all expressions are such paths, and the library takes seven times as long for one.
    """
    path = PLAIN_PATH.fullmatch(text)
    value: Any = names
    for name in path[0][1:].split(".") if path else ():
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str | int | float) else None


def _time_limit() -> Callable[..., None]:
    deadline = time.monotonic() + EVALUATION_SECONDS

    def check(*_: Any) -> None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Expression evaluation timed out after {EVALUATION_SECONDS:g} seconds.")

    return check


def syntax_error(template: str) -> str | None:
    """What keeps an expression (with its `{%` and `%}`) from being parsed."""
    try:
        compile_expression(template[2:-2].strip())
    except JException as error:
        return f"{error.error}: {error}"
    except Exception as error:  # as above
        return str(error)
    return None


@functools.lru_cache(maxsize=4096)
def compile_expression(text: str) -> Jsonata:
    """Parses an expression once; every evaluation gets a frame of its own."""
    compiled = Jsonata(text)
    compiled.set_output_convert_nulls(False)
    compiled.set_validate_input(False)
    for name, function in FUNCTIONS.items():
        compiled.register_lambda(name, function)
    compiled.assign("eval", None)
    return compiled


def _partition(array: Any = None, size: Any = None) -> Any:
    if array is None or not size:
        return None
    items, step = array if isinstance(array, list) else [array], int(size)
    return [items[start : start + step] for start in range(0, len(items), step)] or None


def _range(start: Any = None, end: Any = None, step: Any = None) -> Any:
    if start is None or end is None or not step:
        return None
    step = int(step)
    values = list(range(int(start), int(end) + (1 if step > 0 else -1), step))
    return values[0] if len(values) == 1 else values or None


def _hash(text: Any = None, algorithm: Any = None) -> Any:
    if text is None or algorithm is None:
        return None
    if algorithm not in HASHES:
        raise ValueError(f"$hash knows the algorithms {', '.join(HASHES)}, not {algorithm!r}.")
    if not isinstance(text, str):
        raise TypeError("$hash takes a string.")
    return hashlib.new(HASHES[algorithm], text.encode()).hexdigest()


def _random(seed: Any = None) -> float:
    return random.Random(seed).random()  # noqa: S311 - AWS says the same of its own: not for secrets


def _uuid() -> str:
    return str(uuid.uuid4())


def _parse(text: Any = None) -> Any:
    return None if text is None else to_jsonata(json.loads(text))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "partition": _partition,
    "range": _range,
    "hash": _hash,
    "random": _random,
    "uuid": _uuid,
    "parse": _parse,
}
