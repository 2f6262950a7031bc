import json

from functions.common.errors import ImageRejected, ThresholdConfidenceNotMet, WorkflowError
from functions.common.labels import labels_hash


def test_an_error_without_details_reads_as_its_reason():
    assert str(ImageRejected("The file is empty.")) == "The file is empty."


def test_an_error_with_details_is_json_for_the_state_machine():
    error = ThresholdConfidenceNotMet("Not sure.", label="bicycle", confidence=0.5, threshold=0.93)

    assert json.loads(str(error)) == {
        "reason": "Not sure.",
        "label": "bicycle",
        "confidence": 0.5,
        "threshold": 0.93,
    }


def test_a_reason_is_always_one_line():
    assert WorkflowError("first\r\nsecond\tthird").reason == "first second third"


def test_a_reason_can_always_be_written_as_utf_8():
    assert WorkflowError("half a \ud83d character").reason == "half a ? character"


def test_the_labels_hash_is_12_hex_digits_that_depend_on_the_order():
    assert labels_hash(["bicycle", "motorcycle", "neither"]) == "1766270d4724"
    assert labels_hash(["motorcycle", "bicycle", "neither"]) != "1766270d4724"
