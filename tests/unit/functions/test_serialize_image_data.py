"""serialize_image_data against moto's S3, and against a played S3 for what moto never does."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from functions.common.errors import (
    ImageNotFound,
    ImageRejected,
    ImageUnavailable,
    InvalidInput,
    Misconfigured,
)
from functions.serialize_image_data.handler import lambda_handler

VAN = Path(__file__).resolve().parents[2] / "events" / "van-17.png"
VERSION = "3HL4kqtJvjVBH40Nrjfkd0V9tQm5XpWk"


@pytest.fixture
def invoke(context):
    return lambda given: lambda_handler(given, context)


@pytest.fixture
def stored(bucket):
    """Puts an object and returns the input that names it."""

    def put(body, key="incoming/van-17.png"):
        version = bucket.put_object(Key=key, Body=body).version_id
        return {"s3_bucket": bucket.name, "s3_key": key, "s3_version_id": version}

    return put


@pytest.fixture
def played(monkeypatch, service):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", service.url)
    return service


def pixels(image_data):
    return Image.open(io.BytesIO(base64.b64decode(image_data))).tobytes()


def test_the_golden_input_gives_the_golden_output(played, invoke, event):
    played.answers(body=VAN.read_bytes(), headers={"x-amz-version-id": VERSION})

    result = invoke(event("serialize_image_data_input"))

    expected = event("serialize_image_data_output")
    # The PNG's bytes depend on the machine's zlib; its pixels do not.
    assert pixels(result.pop("image_data")) == pixels(expected.pop("image_data"))
    assert result == expected
    assert f"versionId={VERSION}" in played.requests[0][1]


def test_the_version_that_was_read_is_returned_when_none_was_asked_for(stored, invoke):
    given = stored(VAN.read_bytes())
    version = given.pop("s3_version_id")

    for absent in ({}, {"s3_version_id": ""}, {"s3_version_id": None}):
        assert invoke({**given, **absent})["s3_version_id"] == version


def test_an_older_version_can_still_be_read(stored, invoke):
    older = stored(VAN.read_bytes())
    stored(b"no picture any more")

    assert invoke(older)["image"]["format"] == "PNG"


@pytest.mark.parametrize(
    "key", ["a b+c%20.png", "ümläut/日本.png", "new\nline.png", 'quote".png', "a/../b.png", "x" * 1024]
)
def test_keys_are_taken_as_they_are(stored, invoke, key):
    assert invoke(stored(VAN.read_bytes(), key))["s3_key"] == key


def test_the_side_of_the_small_picture_is_a_setting(monkeypatch, stored, invoke):
    monkeypatch.setenv("INPUT_SIZE", "64")

    image_data = invoke(stored(VAN.read_bytes()))["image_data"]

    assert Image.open(io.BytesIO(base64.b64decode(image_data))).size == (64, 64)


@pytest.mark.parametrize("value", ["", "0", "-1", "241", "3.5", "big", "³", "7" * 5000])
def test_an_unusable_input_size_is_misconfigured(monkeypatch, stored, invoke, value):
    monkeypatch.setenv("INPUT_SIZE", value)

    with pytest.raises(Misconfigured, match="INPUT_SIZE"):
        invoke(stored(VAN.read_bytes()))


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        "text",
        7,
        {},
        {"s3_bucket": "b"},
        {"s3_key": "k"},
        {"s3_bucket": "", "s3_key": "k"},
        {"s3_bucket": "b", "s3_key": ""},
        {"s3_bucket": 5, "s3_key": "k"},
        {"s3_bucket": "b", "s3_key": ["k"]},
        {"s3_bucket": "b", "s3_key": "k", "s3_version_id": 7},
        {"s3_bucket": "b", "s3_key": "half a \ud83d character"},
        {"s3_bucket": "half a \ud83d character", "s3_key": "k"},
    ],
)
def test_an_input_that_names_no_picture_is_invalid(invoke, given):
    with pytest.raises(InvalidInput) as caught:
        invoke(given)
    assert caught.value.details == {}


def test_a_foreign_bucket_is_invalid_input(invoke):
    with pytest.raises(InvalidInput, match="not somebody-elses"):
        invoke({"s3_bucket": "somebody-elses", "s3_key": "k"})


def test_a_missing_object_is_not_found(bucket, invoke):
    with pytest.raises(ImageNotFound, match="incoming/none"):
        invoke({"s3_bucket": bucket.name, "s3_key": "incoming/none.jpg"})


def test_a_missing_version_is_not_found(stored, invoke):
    with pytest.raises(ImageNotFound):
        invoke({**stored(VAN.read_bytes()), "s3_version_id": "00000000-0000-4000-8000-000000000000"})


def test_a_deleted_object_is_not_found_but_its_version_is(bucket, stored, invoke):
    given = stored(VAN.read_bytes())
    marker = bucket.Object(given["s3_key"]).delete()["VersionId"]

    with pytest.raises(ImageNotFound):
        invoke({"s3_bucket": given["s3_bucket"], "s3_key": given["s3_key"]})
    with pytest.raises(ImageNotFound):
        invoke({**given, "s3_version_id": marker})
    assert invoke(given)["s3_version_id"] == given["s3_version_id"]


@pytest.mark.parametrize(
    ("body", "reason"), [(b"", "0 bytes"), (b"plain text", "not a JPEG"), (bytes(10_000_001), "10,000,001")]
)
def test_an_unacceptable_picture_is_rejected_with_its_version(stored, invoke, body, reason):
    given = stored(body)

    with pytest.raises(ImageRejected, match=reason) as caught:
        invoke(given)
    assert caught.value.details == {"s3_version_id": given["s3_version_id"]}


def test_too_large_an_object_is_rejected_before_its_body_is_read(played, invoke, event):
    played.answers(headers={"x-amz-version-id": "v9"}, length=5_000_000_000)

    with pytest.raises(ImageRejected, match="5,000,000,000 bytes") as caught:
        invoke(event("serialize_image_data_input"))
    assert caught.value.details == {"s3_version_id": "v9"}


def test_a_body_that_ends_early_is_unavailable(played, invoke, event):
    played.answers(body=VAN.read_bytes(), length=VAN.stat().st_size + 1, headers={"x-amz-version-id": "v9"})

    with pytest.raises(ImageUnavailable) as caught:
        invoke(event("serialize_image_data_input"))
    assert caught.value.details == {"s3_version_id": "v9"}


@pytest.mark.parametrize(
    "answered",
    [
        (404, "NoSuchKey", ImageNotFound),
        (404, "NoSuchVersion", ImageNotFound),
        (405, "MethodNotAllowed", ImageNotFound),
        (400, "InvalidArgument", InvalidInput),
        (403, "InvalidObjectState", ImageRejected),
        (403, "AccessDenied", Misconfigured),
        (404, "NoSuchBucket", Misconfigured),
        (400, "KMS.DisabledException", Misconfigured),
        (400, "KMS.KMSInvalidStateException", Misconfigured),
        (503, "SlowDown", ImageUnavailable),
        (500, "InternalError", ImageUnavailable),
    ],
)
def test_every_answer_of_s3_has_a_name(played, invoke, event, answered):
    status, code, named = answered
    played.answers(status=status, body=f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode())

    with pytest.raises(named) as caught:
        invoke(event("serialize_image_data_input"))
    assert type(caught.value) is named
    assert code in caught.value.reason
    assert len(played.requests) == 1


def test_a_bucket_that_was_never_versioned_has_the_version_null(played, invoke, event):
    played.answers(body=VAN.read_bytes())

    assert invoke({**event("serialize_image_data_input"), "s3_version_id": ""})["s3_version_id"] == "null"


def test_a_12_megapixel_photo_and_a_thumbnail_both_end_under_8_kilobytes(stored, invoke):
    for size in ((4000, 3000), (16, 16)):
        buffer = io.BytesIO()
        Image.effect_noise(size, 100).convert("RGB").save(buffer, "JPEG", quality=70)
        assert len(invoke(stored(buffer.getvalue()))["image_data"]) < 8192
