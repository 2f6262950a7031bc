"""Captured data as SageMaker lays it down, and as accidents leave it."""

import base64
import json

import captures
import pytest

from scripts.common.s3 import NoSuchObject
from scripts.report.data_capture import Broken, Inference, read


def no_client():
    raise AssertionError("a folder needs no S3")


def read_all(place, client=no_client):
    return list(read(str(place), client))


def broken(tmp_path, line):
    captures.write(tmp_path, [line])
    return read_all(tmp_path)


def test_endpoint_and_variant_come_from_the_place_and_the_answer_from_the_line(tmp_path):
    captures.write(tmp_path, [captures.record(3, [0.9, 0.06, 0.04], b"png", inferenceId="ab-1")], "first")

    (found,) = read_all(tmp_path)

    assert (found.endpoint, found.variant) == ("first", "primary")
    assert found.probabilities == (0.9, 0.06, 0.04)
    assert (found.event_id, found.inference_id, found.picture) == ("event-3", "ab-1", b"png")
    assert found.time.isoformat() == "2026-11-20T06:03:00+00:00"


def test_several_endpoints_lie_side_by_side(tmp_path):
    captures.write(tmp_path, [captures.record(0, [1, 0, 0])], "first")
    captures.write(tmp_path, [captures.record(1, [1, 0, 0])], "second")

    assert [found.endpoint for found in read_all(tmp_path)] == ["first", "second"]


def test_any_part_of_the_tree_may_be_named_even_one_file(tmp_path):
    path = captures.write(tmp_path, [captures.record(0, [1, 0, 0])], "first")

    assert {read_all(place)[0].endpoint for place in (tmp_path / "first", path.parent, path)} == {"first"}


def test_a_file_that_lies_anywhere_else_is_read_without_an_endpoint(tmp_path):
    path = captures.write(tmp_path / "tree", [captures.record(0, [1, 0, 0])])
    (tmp_path / "flat").mkdir()
    path.rename(tmp_path / "flat" / path.name)

    (found,) = read_all(tmp_path / "flat")

    assert (found.endpoint, found.variant) == ("unknown", "unknown")


def test_a_prefix_in_s3_is_read_like_a_folder(tmp_path, s3):
    path = captures.write(tmp_path, [captures.record(0, [1, 0, 0])], "first")
    s3.upload_file(str(path), "pictures", f"capture/{path.relative_to(tmp_path).as_posix()}")

    (found,) = read_all("s3://pictures/capture/", lambda: s3)

    assert (found.endpoint, found.variant) == ("first", "primary")
    with pytest.raises(NoSuchObject):
        read_all("s3://pictures/elsewhere/", lambda: s3)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_all(tmp_path / "nowhere")


WHOLE = captures.record(0, [1, 0, 0])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not json", "not JSON"),
        (json.dumps(WHOLE)[:-20], "not JSON"),
        ("[]", "not the shape"),
        ("17", "not the shape"),
        ("null", "not the shape"),
        ('"text"', "not the shape"),
        ("[" * 100_000, "nested too deeply"),
        (json.dumps({**WHOLE, "captureData": {}}), "no endpointOutput"),
        (json.dumps({**WHOLE, "eventMetadata": {"eventId": "x"}}), "no inferenceTime"),
        (json.dumps({**WHOLE, "eventMetadata": {"eventId": "x", "inferenceTime": "noon"}}), "isoformat"),
        (json.dumps({**WHOLE, "eventMetadata": {"eventId": "x", "inferenceTime": 7}}), "not the shape"),
        (json.dumps(captures.record(0, [0.5, 0.2])), "not a list of probabilities"),
        (json.dumps(captures.record(0, [1.5, -0.5])), "not a list of probabilities"),
        (json.dumps(captures.record(0, [float("nan"), 1])), "not a list of probabilities"),
        (json.dumps(captures.record(0, [])), "not a list of probabilities"),
    ],
)
def test_a_broken_line_is_told_by_its_place_and_reason_and_the_next_is_read(tmp_path, line, reason):
    captures.write(tmp_path, [line, captures.record(1, [1, 0, 0])])

    first, second = read_all(tmp_path)

    assert isinstance(first, Broken)
    assert first.line == 1
    assert first.place.endswith(".jsonl")
    assert reason in first.reason
    assert isinstance(second, Inference)


def test_bytes_that_are_no_text_are_a_broken_line(tmp_path):
    path = captures.write(tmp_path, [WHOLE])
    path.write_bytes(b"\xff\xfe\x00\n" + path.read_bytes())

    first, second = read_all(tmp_path)

    assert isinstance(first, Broken)
    assert isinstance(second, Inference)


@pytest.mark.parametrize("encoding", ["JSON", "CSV", "BASE64"])
def test_every_encoding_of_an_answer_is_read(tmp_path, encoding):
    texts = {"JSON": "[0.9, 0.1]", "CSV": "0.9,0.1\n", "BASE64": base64.b64encode(b"[0.9, 0.1]").decode()}
    record = captures.record(0, [1, 0])
    record["captureData"]["endpointOutput"] |= {"data": texts[encoding], "encoding": encoding}
    captures.write(tmp_path, [record])

    (found,) = read_all(tmp_path)

    assert found.probabilities == (0.9, 0.1)


@pytest.mark.parametrize(
    "sent", [None, {}, {"encoding": "BASE64", "data": "no base64!"}, {"encoding": "JSON", "data": 7}, "text"]
)
def test_a_request_that_was_not_captured_costs_the_picture_alone(tmp_path, sent):
    record = captures.record(0, [1, 0, 0])
    record["captureData"]["endpointInput"] = sent
    captures.write(tmp_path, [record])

    (found,) = read_all(tmp_path)

    assert found.picture == b""
