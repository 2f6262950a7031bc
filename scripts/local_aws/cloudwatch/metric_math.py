"""Expressions over metrics, as far as alarms here use them: arithmetic, comparisons, IF and FILL.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from scripts.local_aws.core.errors import ServiceError

ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class _Missing(Exception):
    """A value that the result needs is not there."""


def evaluate(expression: str, values: dict[str, float | None]) -> float | None:
    """The expression's value at one point in time; None where a value that it needs is missing.

    Raises ServiceError ValidationError for what is not emulated, such as SUM.
    """
    try:
        tree = ast.parse(expression, mode="eval").body
    except SyntaxError as error:
        raise ServiceError("ValidationError", f"The expression {expression!r} cannot be read") from error
    try:
        return float(_value(tree, values))
    except (_Missing, ZeroDivisionError):
        return None


def _value(node: ast.AST, values: dict[str, float | None]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name) if name in values:
            if values[name] is None:
                raise _Missing
            return values[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, values)
        case (
            ast.BinOp(left=left, op=sign, right=right)
            | ast.Compare(left=left, ops=[sign], comparators=[right])
        ):
            if type(sign) in ARITHMETIC:
                return ARITHMETIC[type(sign)](_value(left, values), _value(right, values))
        case ast.Call(func=ast.Name(id="FILL"), args=[ast.Name(id=name), filler]) if name in values:
            return _value(filler, values) if values[name] is None else values[name]
        case ast.Call(func=ast.Name(id="IF"), args=[condition, met, otherwise]):
            return _value(met if _value(condition, values) else otherwise, values)
    raise ServiceError(
        "ValidationError", f"{ast.unparse(node)!r} is not metric math that is emulated on one machine"
    )
