"""Clients and the translation of their failures, against a real HTTP server."""

import contextlib
import time

import boto3
import pytest

from functions.common.aws import client, named_error, read_body
from functions.common.errors import ImageNotFound, ImageUnavailable, Misconfigured

BY_CODE = {"NoSuchKey": (ImageNotFound, "upload it again")}


def error_document(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>said {code}</Message></Error>".encode()


@pytest.fixture
def failure(monkeypatch, service):
    """What reading an object from the played S3 ends with, as a named error."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", service.url)

    def read(timeout: int = 2):
        try:
            response = client("s3", timeout).get_object(Bucket="bucket", Key="key")
            with contextlib.closing(response["Body"]) as body:
                read_body(body, 1000)
        except Exception as error:
            return named_error(error, "Reading", ImageUnavailable, BY_CODE, s3_version_id="v1")
        pytest.fail("the played failure was not noticed")

    return read


@pytest.mark.parametrize("code", ["InternalError", "ServiceUnavailable", "anything"])
def test_a_server_error_is_retryable_and_the_client_itself_tries_only_once(service, failure, code):
    service.answers(status=503, body=error_document(code))

    assert type(failure()) is ImageUnavailable
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "SlowDown"), (400, "ThrottlingException"), (429, "anything"), (400, "RequestTimeout")],
)
def test_throttling_is_retryable_whatever_its_status(service, failure, status, code):
    service.answers(status=status, body=error_document(code))

    assert type(failure()) is ImageUnavailable
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "AccessDenied"),
        (400, "KMS.DisabledException"),
        (403, "InvalidAccessKeyId"),
        (400, "ExpiredToken"),
        (418, "Unheard"),
    ],
)
def test_a_refusal_is_misconfigured_and_keeps_the_services_words(service, failure, status, code):
    service.answers(status=status, body=error_document(code))

    error = failure()

    assert type(error) is Misconfigured
    assert f"{code}: said {code}" in error.reason
    assert error.details == {"s3_version_id": "v1"}


def test_a_code_with_a_meaning_of_its_own_gets_its_error_and_advice(service, failure):
    service.answers(status=404, body=error_document("NoSuchKey"))

    error = failure()

    assert type(error) is ImageNotFound
    assert error.reason == "Reading was refused (NoSuchKey: said NoSuchKey); upload it again."


def test_a_body_that_ends_early_is_retryable(service, failure):
    service.answers(body=b"half", length=8)

    assert type(failure()) is ImageUnavailable


def test_a_service_that_hangs_is_retryable_after_the_read_timeout(service, failure):
    service.answers(delay=30)
    started = time.monotonic()

    assert type(failure(timeout=1)) is ImageUnavailable
    assert time.monotonic() - started < 30
    assert len(service.requests) == 1


def test_an_unreachable_service_is_retryable(monkeypatch, failure):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")

    assert type(failure()) is ImageUnavailable


def test_an_answer_that_is_not_from_aws_is_retryable(service, failure):
    service.answers(status=502, body=b"<html>bad gateway")

    assert type(failure()) is ImageUnavailable


def test_missing_credentials_are_misconfigured(monkeypatch, failure):
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")

    assert type(failure()) is Misconfigured


def test_a_programming_error_is_not_translated():
    with pytest.raises(ZeroDivisionError):
        named_error(ZeroDivisionError(), "Reading", ImageUnavailable, {})


def test_a_body_over_the_limit_is_read_one_byte_too_far(monkeypatch, service):
    """And no further."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", service.url)
    service.answers(body=b"x" * 100)

    body = client("s3", 2).get_object(Bucket="bucket", Key="key")["Body"]

    assert len(read_body(body, 10)) == 11
