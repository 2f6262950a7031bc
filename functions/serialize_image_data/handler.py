"""Reads one object from S3 and returns it as the small picture that the model takes."""

import base64
import contextlib
import hashlib
from typing import Any

from functions.common import settings
from functions.common.aws import ErrorsByCode, client, named_error, read_body
from functions.common.errors import (
    ImageNotFound,
    ImageRejected,
    ImageUnavailable,
    InvalidInput,
    Misconfigured,
)
from functions.common.picture import MAX_BYTES, check_size, encode_png, read_picture, statistics
from functions.common.telemetry import count, observed

READ_TIMEOUT_SECONDS = 10

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
ERRORS_BY_CODE: ErrorsByCode = {
    "NoSuchKey": (ImageNotFound, "it may have been deleted or renamed; upload it again"),
    "NoSuchVersion": (ImageNotFound, "that version may have expired; start again without s3_version_id"),
    # The version id of a delete marker: it can be listed but not read.
    "MethodNotAllowed": (ImageNotFound, "that version is a delete marker; upload the picture again"),
    "InvalidArgument": (InvalidInput, "start again with the object's own key and version id"),
    "KeyTooLongError": (InvalidInput, "start again with the object's own key"),
    "InvalidObjectState": (ImageRejected, "it is archived; restore it and start again"),
    "NoSuchBucket": (Misconfigured, "apply the Terraform module again"),
}


@observed
def lambda_handler(event: Any) -> dict[str, Any]:
    """Read, check and shrink the picture that {"s3_bucket", "s3_key", "s3_version_id"?} names.

    Returns s3_bucket, s3_key, s3_version_id (the version actually read), image_data (base64 of a PNG of
    INPUT_SIZE x INPUT_SIZE pixels), image (facts about the original; brightness, contrast and sharpness from
    0 to 1, see functions.common.picture.statistics) and an empty list of inferences.

    Raises InvalidInput, ImageNotFound, ImageRejected, ImageUnavailable, Misconfigured; those raised after the
    object was opened carry s3_version_id.
    """
    bucket, key, version = _location(event)
    side = settings.pixels("INPUT_SIZE")
    data, version = _read_object(bucket, key, version)
    try:
        picture = read_picture(data, side)
    except ImageRejected as error:
        raise ImageRejected(error.reason, s3_version_id=version) from error
    count("PictureBytes", len(data), "Bytes")
    return {
        "s3_bucket": bucket,
        "s3_key": key,
        "s3_version_id": version,
        "image_data": base64.b64encode(encode_png(picture.image)).decode("ascii"),
        "image": {
            "width": picture.width,
            "height": picture.height,
            "format": picture.format,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            **statistics(picture.image)._asdict(),
        },
        "inferences": [],
    }


def _location(event: Any) -> tuple[str, str, str]:
    if not isinstance(event, dict):
        raise InvalidInput(
            'The input is not a JSON object; start again with {"s3_bucket": ..., "s3_key": ...}.'
        )
    for name in ("s3_bucket", "s3_key"):
        if not (isinstance(event.get(name), str) and event[name]):
            raise InvalidInput(
                f"{name} is missing, empty or not a string; start again with the object's {name}."
            )
    try:
        event["s3_key"].encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"s3_key is not Unicode text ({error}); start again with the object's key."
        ) from error
    version = event.get("s3_version_id") or ""
    if not isinstance(version, str):
        raise InvalidInput("s3_version_id is not a string; leave it out or give the object's version id.")
    expected = settings.text("BUCKET")
    if event["s3_bucket"] != expected:
        raise InvalidInput(
            f"This workflow reads the bucket {expected}, not {event['s3_bucket'][:100]}; copy the picture there."
        )
    return expected, event["s3_key"], version


def _read_object(bucket: str, key: str, version: str) -> tuple[bytes, str]:
    """The object's bytes and its version id ("null" in a bucket that was never versioned).

    One GetObject instead of HeadObject and GetObject: its headers give the size before the body is read,
    the object cannot change between two calls, and its errors have a code (a HEAD has no body, so only a
    status). A missing key is 404 because the role may list the bucket; without s3:ListBucket S3 would
    answer 403: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    action = f"Reading s3://{bucket}/{key[:300]}"
    details: dict[str, str] = {}
    try:
        arguments = {"Bucket": bucket, "Key": key} | ({"VersionId": version} if version else {})
        response = client("s3", READ_TIMEOUT_SECONDS).get_object(**arguments)
        details["s3_version_id"] = response.get("VersionId", "null")
        with contextlib.closing(response["Body"]) as body:
            check_size(response["ContentLength"])
            return read_body(body, MAX_BYTES), details["s3_version_id"]
    except ImageRejected as error:
        raise ImageRejected(error.reason, **details) from error
    except Exception as error:
        raise named_error(error, action, ImageUnavailable, ERRORS_BY_CODE, **details) from error
