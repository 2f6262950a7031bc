"""DynamoDB's condition and update expressions, as far as this project writes them, on plain dictionaries.

A thousand times as fast as moto, which tests/unit/statemachine/test_interleavings.py compares it with:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

import functools
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

Item = dict[str, dict[str, Any]]
Condition = Callable[[Item, dict[str, Any]], bool]
Change = Callable[[Item, dict[str, Any], Item], None]

TOKEN = re.compile(r"\s*([A-Za-z_]\w*|[#:]\w+|<>|<=|>=|[=<>(),])")
COMPARISONS = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Tokens:
    """The words of an expression, one at a time, with the placeholders of attribute names replaced."""

    def __init__(self, text: str, names: dict[str, str]) -> None:
        words = TOKEN.findall(text)
        assert "".join(words) == re.sub(r"\s", "", text), f"not understood: {text}"
        self._words = [names.get(word, word) if word.startswith("#") else word for word in words]
        assert not [word for word in self._words if word.startswith("#")], f"unnamed attribute: {text}"

    @property
    def next(self) -> str:
        return self._words[0] if self._words else ""

    def take(self, expected: str | None = None) -> str:
        word = self._words.pop(0)
        assert expected in (None, word), f"{word!r} in place of {expected!r}"
        return word

    def taken(self, word: str) -> bool:
        """Takes a word if it comes next."""
        return self.next == word and bool(self.take())

    def listed(self, element: Callable[[], Any]) -> Iterator[Any]:
        """Elements between commas."""
        yield element()
        while self.taken(","):
            yield element()


def condition(text: str, names: dict[str, str]) -> Condition:
    """The test that a ConditionExpression makes of an item and the values of its placeholders."""
    return _condition(text, tuple(sorted(names.items())))


@functools.cache
def _condition(text: str, names: tuple[tuple[str, str], ...]) -> Condition:
    tokens = Tokens(text, dict(names))
    test = _either(tokens)
    assert not tokens.next, f"more than a condition: {text}"
    return test


def _either(tokens: Tokens) -> Condition:
    tests = [_both(tokens)]
    while tokens.taken("OR"):
        tests.append(_both(tokens))
    return lambda item, values: any(test(item, values) for test in tests)


def _both(tokens: Tokens) -> Condition:
    tests = [_simple(tokens)]
    while tokens.taken("AND"):
        tests.append(_simple(tokens))
    return lambda item, values: all(test(item, values) for test in tests)


def _simple(tokens: Tokens) -> Condition:
    if tokens.taken("("):
        test = _either(tokens)
        tokens.take(")")
        return test
    word = tokens.take()
    if word in ("attribute_exists", "attribute_not_exists"):
        tokens.take("(")
        attribute = tokens.take()
        tokens.take(")")
        wanted = word == "attribute_exists"
        return lambda item, _: (attribute in item) is wanted
    compare, other = COMPARISONS[tokens.take()], tokens.take()
    return lambda item, values: _compare(compare, _operand(word, item, values), _operand(other, item, values))


def _operand(word: str, item: Item, values: dict[str, Any]) -> Any:
    return values[word] if word.startswith(":") else item.get(word)


def _compare(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    """A comparison of values of different types is false, but that they are then unequal."""
    if left is None or right is None:
        return compare is operator.ne
    ((left_type, left),), ((right_type, right),) = left.items(), right.items()
    if left_type != right_type:
        return compare is operator.ne
    return compare(float(left), float(right)) if left_type == "N" else compare(left, right)


def updated(text: str, names: dict[str, str], item: Item, values: dict[str, Any]) -> Item:
    """What an UpdateExpression makes of an item; every operand is read before anything is written."""
    new = dict(item)
    for change in _changes(text, tuple(sorted(names.items()))):
        change(item, values, new)
    return new


@functools.cache
def _changes(text: str, names: tuple[tuple[str, str], ...]) -> list[Change]:
    tokens = Tokens(text, dict(names))
    changes: list[Change] = []
    while tokens.next:
        clause = {"SET": _assignment, "REMOVE": _removal}[tokens.take()]
        changes += tokens.listed(functools.partial(clause, tokens))
    return changes


def _assignment(tokens: Tokens) -> Change:
    attribute = tokens.take()
    tokens.take("=")
    value = _value(tokens)

    def change(item: Item, values: dict[str, Any], new: Item) -> None:
        new[attribute] = value(item, values)

    return change


def _removal(tokens: Tokens) -> Change:
    attribute = tokens.take()
    return lambda _item, _values, new: new.pop(attribute, None) and None


def _value(tokens: Tokens) -> Callable[[Item, dict[str, Any]], Any]:
    word = tokens.take()
    if not tokens.taken("("):
        return lambda item, values: _operand(word, item, values)
    first, second = tokens.listed(functools.partial(_value, tokens))
    tokens.take(")")
    if word == "if_not_exists":
        return lambda item, values: first(item, values) or second(item, values)
    assert word == "list_append"
    return lambda item, values: {"L": [*first(item, values)["L"], *second(item, values)["L"]]}
