import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.errors import InvalidInference, InvalidInput, Misconfigured, ThresholdConfidenceNotMet
from functions.filter_inferences.handler import lambda_handler


@pytest.fixture
def decide(context):
    def call(*inferences, model="scones-2026-11-12"):
        return lambda_handler({"inferences": list(inferences), "model": model}, context)

    return call


def test_the_golden_input_gives_the_golden_output(context, event):
    assert lambda_handler(event("filter_inferences_input"), context) == event("filter_inferences_output")


def test_a_confidence_equal_to_the_threshold_is_accepted(decide):
    assert decide(0.07, 0.93, 0.0)["label"] == "motorcycle"


def test_a_confidence_just_below_the_threshold_is_refused(decide):
    """The error says what was seen."""
    with pytest.raises(ThresholdConfidenceNotMet) as caught:
        decide(0.9299999, 0.07, 0.0000001)

    assert caught.value.details == {"label": "bicycle", "confidence": 0.9299999, "threshold": 0.93}


def test_an_answer_is_judged_by_the_threshold_of_the_model_that_gave_it(decide):
    """While a roll-out lasts, and after one that SageMaker has taken back, the former model answers, too."""
    assert decide(0.95, 0.05, 0.0)["threshold"] == 0.93
    with pytest.raises(ThresholdConfidenceNotMet) as caught:
        decide(0.95, 0.05, 0.0, model="scones-2026-08-01")

    assert caught.value.details == {"label": "bicycle", "confidence": 0.95, "threshold": 0.98}


def test_an_answer_of_an_unknown_model_is_refused(decide):
    """However sure the model is: nobody knows its threshold."""
    with pytest.raises(InvalidInference, match=r"another.*scones-2026-08-01, scones-2026-11-12.*rollback"):
        decide(1.0, 0.0, 0.0, model="another")


def test_a_class_that_nobody_looks_for_is_never_accepted(decide):
    with pytest.raises(ThresholdConfidenceNotMet) as caught:
        decide(0.01, 0.0, 0.99)

    assert caught.value.details["label"] == "neither"


def test_an_accepted_class_is_always_the_most_probable(decide, monkeypatch):
    """A class of interest over a low threshold does not suffice."""
    monkeypatch.setenv("THRESHOLDS", '{"scones-2026-11-12": 0.3}')

    with pytest.raises(ThresholdConfidenceNotMet):
        decide(0.4, 0.0, 0.6)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_accepted_means_best_of_interest_and_over_the_threshold(inferences):
    from types import SimpleNamespace  # noqa: PLC0415

    try:
        result = lambda_handler(
            {"inferences": inferences, "model": "scones-2026-11-12"}, SimpleNamespace(aws_request_id="r")
        )
    except ThresholdConfidenceNotMet:
        assert max(inferences) < 0.93 or inferences.index(max(inferences)) == 2
    else:
        assert result["confidence"] == max(inferences) >= 0.93
        assert result["label"] == ["bicycle", "motorcycle"][inferences.index(max(inferences))]


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        {},
        {"model": "scones-2026-11-12"},
        {"inferences": None, "model": "scones-2026-11-12"},
        {"inferences": "0.9", "model": "scones-2026-11-12"},
        {"inferences": [1.0, 0.0, 0.0]},
        {"inferences": [1.0, 0.0, 0.0], "model": ["scones-2026-11-12"]},
    ],
)
def test_an_input_without_inferences_and_their_model_is_invalid(context, event):
    with pytest.raises(InvalidInput):
        lambda_handler(event, context)


@pytest.mark.parametrize(
    "inferences",
    [
        [],
        [1.0],
        [0.5, 0.5, 0, 0],
        ["1", 0, 0],
        [True, False, False],
        [float("nan"), 0, 0],
        [float("inf"), 0, 0],
        [1.1, 0, 0],
        [-0.1, 1, 0.1],
        [10**400, 0, 0],
    ],
)
def test_inferences_that_are_not_probabilities_are_invalid(context, inferences):
    with pytest.raises(InvalidInference):
        lambda_handler({"inferences": inferences, "model": "scones-2026-11-12"}, context)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("THRESHOLDS", ""),
        ("THRESHOLDS", "0.93"),
        ("THRESHOLDS", "{}"),
        *(
            ("THRESHOLDS", f'{{"scones-2026-11-12": 0.93, "former": {value}}}')
            for value in ("NaN", "0", "-0.1", "1.01", "Infinity", "0,93", '"0.93"', "true", "null")
        ),
        ("LABELS", "bicycle"),
        ("CLASSES_OF_INTEREST", '["car"]'),
        ("CLASSES_OF_INTEREST", "[]"),
    ],
)
def test_an_unusable_setting_is_misconfigured_and_named(decide, monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(Misconfigured, match=name):
        decide(1.0, 0.0, 0.0)
