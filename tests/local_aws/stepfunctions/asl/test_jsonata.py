"""JSONata in Step Functions: https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html."""

import json
import math
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.local_aws.stepfunctions.asl.jsonata import (
    QueryError,
    evaluate,
    is_expression,
    to_json,
    to_jsonata,
)

WHOLE = st.integers(min_value=-(2**53), max_value=2**53)
FRACTION = st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
SCALAR = st.none() | st.booleans() | WHOLE | FRACTION | st.text()
JSON = st.recursive(SCALAR, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def query(expression: str, **names: Any) -> Any:
    return evaluate(
        f"{{% {expression} %}}", {name: to_jsonata(value) for name, value in names.items()}, "Output"
    )


def plain(value: Any) -> bool:
    """Whether a value consists of Python's own types, and no subclass of the library's."""
    if isinstance(value, list):
        return type(value) is list and all(map(plain, value))
    if isinstance(value, dict):
        return type(value) is dict and all(map(plain, value.values()))
    return type(value) in (type(None), bool, int, float, str)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$partition([1, 2, 3, 4, 5], 2)", [[1, 2], [3, 4], [5]]),
        ("$partition([1, 2, 3], 2.9)", [[1, 2], [3]]),
        ("$range(1, 9, 2)", [1, 3, 5, 7, 9]),
        ("$range(3, 1, -1)", [3, 2, 1]),
        ("$range(7, 7, 1)", 7),
        ("$hash('input data', 'SHA-1')", "aaff4a450a104cd177d28d18d74485e8cae074b7"),
        ("$length($hash('é', 'SHA-512'))", 128),
        ("$random(3) = $random(3)", True),
        ("$random() >= 0 and $random() < 1", True),
        ("$match($uuid(), /^[0-9a-f]{8}-[0-9a-f]{4}-4/).index", 0),
        ("$parse('{\"a\": [1, null]}')", {"a": [1, None]}),
        ("$parse('null')", None),
        ("$uuid() = $uuid()", False),
        ("$now() > '2024'", True),
    ],
)
def test_the_functions_that_step_functions_adds(expression: str, expected: Any) -> None:
    assert query(expression) == expected


@pytest.mark.parametrize(
    "expression",
    ["$partition([1], 0)", "$partition([], 1)", "$range(0, 4)", "$range(1, 2, -1)", "$hash('a')"],
)
def test_some_arguments_give_nothing(expression: str) -> None:
    with pytest.raises(QueryError, match="returned nothing"):
        query(expression)


@pytest.mark.parametrize(
    "expression", ["$eval('1')", "$hash('a', 'sha-1')", "$parse('{')", "$nosuch(1)", "1 +"]
)
def test_what_is_not_there_or_not_valid_is_an_error(expression: str) -> None:
    with pytest.raises(QueryError, match="threw an error during evaluation"):
        query(expression)


@pytest.mark.parametrize(
    ("expression", "expected", "kind"),
    [
        ("1 + 1", 2, int),
        ("5 / 2", 2.5, float),
        ("$n", 5, int),
        ("$n * 2", 10, int),
        ("$sum([0.5, 0.5])", 1, int),
    ],
)
def test_whole_numbers_are_written_whole(expression: str, expected: float, kind: type) -> None:
    result = query(expression, n=5.0)
    assert (result, type(result)) == (expected, kind)


def test_large_numbers_stay_numbers() -> None:
    assert query("$n", n=1e300) == 1e300
    assert query("$n", n=12345678901234567890) == 12345678901234567890


def test_an_expression_compiled_long_ago_reads_the_clock_of_now() -> None:
    query("$millis()")
    query("40 + 2")
    threading.Event().wait(0.01)
    now = time.time() * 1000
    assert query("$millis()") >= math.floor(now)


def test_variables_of_one_evaluation_are_gone_in_the_next() -> None:
    assert query("($x := 1; $x)") == 1
    with pytest.raises(QueryError, match="returned nothing"):
        query("$x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% 1 %}", True),
        ("{%1%}", True),
        (" {% 1 %}", False),
        ("{% 1 %} ", False),
        ("{%}", False),
        ("1", False),
    ],
)
def test_only_a_whole_string_is_an_expression(text: str, expected: bool) -> None:
    assert is_expression(text) is expected


@given(JSON)
def test_json_comes_back_as_it_went_in(value: Any) -> None:
    assert to_json(to_jsonata(value)) == value
    assert query("$value", value=value) == value
    assert query("{'a': [$value]}.a[0]", value={"v": value}) == {"v": value}
    assert query("$states.input.deep", states={"input": {"deep": value}}) == value


@given(JSON)
def test_no_type_of_the_library_leaks_out(value: Any) -> None:
    assert plain(
        query("[$value, {'k': $value}, $map([1, 2], function($n) { $n + 0.5 })]", value={"v": value})
    )


@given(JSON)
def test_the_data_of_an_expression_is_not_changed_by_it(value: Any) -> None:
    data = to_jsonata({"v": value})
    before = json.dumps(to_json(data), sort_keys=True)
    evaluate("{% $merge([$data ~> |$|{'extra': 1}|, {'all': [$data.**]}]) %}", {"data": data}, "Output")
    assert json.dumps(to_json(data), sort_keys=True) == before


@given(st.lists(WHOLE, min_size=1), st.integers(min_value=1, max_value=10))
def test_partitions_put_together_are_the_whole(items: list[int], size: int) -> None:
    chunks = query("[$partition($items, $size)]", items=items, size=size)
    assert len(chunks) == math.ceil(len(items) / size) or chunks == [items]
    assert [item for chunk in chunks for item in chunk] == items


def test_threads_do_not_disturb_each_other() -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        for step in range(200):
            result = query("$map([1..3], function($i) { $i * $n + $s })", n=number, s=step)
            if result != [number + step, 2 * number + step, 3 * number + step]:
                wrong.append(result)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@given(JSON)
def test_a_plain_path_means_what_it_means_as_a_part_of_an_expression(value: Any) -> None:
    for stored in ({"a": value}, {"a": {"b": value}}, [{"a": value}], {"a": [{"b": value}]}, value):
        for path in ("$v", "$v.a", "$v.a.b"):
            assert outcome(path, stored) == outcome(f"({path})", stored)


def outcome(expression: str, stored: Any) -> Any:
    try:
        return query(expression, v=stored)
    except QueryError:
        return QueryError
