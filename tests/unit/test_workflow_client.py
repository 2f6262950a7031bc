"""Reading the workflow's answers."""

import pytest

from scripts.workflow import plain


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ({"S": "7"}, "7"),
        ({"N": "7"}, 7),
        ({"N": "-7"}, -7),
        ({"N": "0.5"}, 0.5),
        ({"N": "1E-7"}, 1e-7),
        ({"NULL": True}, None),
        ({"BOOL": False}, False),
        ({"L": [{"N": "1"}, {"S": "a"}]}, [1, "a"]),
        ({"M": {"width": {"N": "32"}}}, {"width": 32}),
    ],
)
def test_a_dynamodb_value_becomes_a_plain_one(attribute, value):
    assert plain(attribute) == value
    assert type(plain(attribute)) is type(value)
