"""classify_image against an HTTP server that plays the SageMaker runtime, well-behaved and not."""

import json

import pytest

from functions.classify_image import handler
from functions.common.errors import EndpointUnavailable, InvalidInference, InvalidInput, Misconfigured
from functions.common.inference_id import MAX_RUN, inference_id
from functions.common.labels import labels_hash

ATTRIBUTES = f"model=scones-2026-11-12;labels={labels_hash(['bicycle', 'motorcycle', 'neither'])}"


@pytest.fixture
def endpoint(monkeypatch, service):
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", service.url)
    return service


@pytest.fixture
def invoke(context, event):
    return lambda given=None: handler.lambda_handler(given or event("classify_image_input"), context)


def answer(endpoint, body, attributes=ATTRIBUTES, **facts):
    headers = {"Content-Type": "application/json", "X-Amzn-SageMaker-Custom-Attributes": attributes}
    endpoint.answers(
        body=body if isinstance(body, bytes) else json.dumps(body).encode(), headers=headers, **facts
    )


def refuse(endpoint, status, code, **facts):
    body = json.dumps({"Message": "said so", "message": "said so", **facts}).encode()
    endpoint.answers(
        status=status, headers={"Content-Type": "application/json", "x-amzn-ErrorType": code}, body=body
    )


def test_the_golden_input_gives_the_golden_output(endpoint, invoke, event):
    answer(endpoint, [0.971, 0.021, 0.008])

    assert invoke() == event("classify_image_output")


def test_the_endpoint_gets_the_picture_itself(endpoint, invoke):
    answer(endpoint, [0.971, 0.021, 0.008])

    invoke()

    method, path, headers, body = endpoint.requests[0]
    assert (method, path) == ("POST", "/endpoints/scones-test-classifier/invocations")
    assert headers["Content-Type"] == "image/png"
    assert body.startswith(b"\x89PNG")


def test_the_request_carries_an_id_of_picture_version_and_run(endpoint, invoke, event):
    answer(endpoint, [0.971, 0.021, 0.008])
    given = event("classify_image_input")

    ids = [
        inference_id(given["s3_bucket"], given["s3_key"], given["s3_version_id"], given["run"]),
        inference_id(given["s3_bucket"], "incoming/other.png", given["s3_version_id"], given["run"]),
        inference_id(given["s3_bucket"], given["s3_key"], "another-version", given["run"]),
        inference_id(given["s3_bucket"], given["s3_key"], given["s3_version_id"], 1),
    ]
    invoke()
    invoke(given | {"s3_key": "incoming/other.png"})
    invoke(given | {"s3_version_id": "another-version"})
    invoke(given | {"run": 1})

    sent = [headers["X-Amzn-SageMaker-Inference-Id"] for _, _, headers, _ in endpoint.requests]
    assert sent == ids
    assert len(set(sent)) == 4


def test_the_id_of_the_longest_key_and_run_is_within_sagemakers_limits():
    longest = inference_id("b" * 63, "\u00e4" * 512, "v" * 1024, 10**20 - 1)

    assert len(longest) <= 64
    assert longest.isascii()
    assert longest.isprintable()


@pytest.mark.parametrize(
    "wrong",
    [
        {"s3_key": ""},
        {"s3_version_id": None},
        {"s3_bucket": 7},
        {"run": "0"},
        {"run": -1},
        {"run": True},
        {"run": MAX_RUN + 1},
        {"run": float("inf")},
    ],
)
def test_an_input_that_names_no_picture_is_invalid(endpoint, context, event, wrong):
    with pytest.raises(InvalidInput, match="s3_bucket"):
        handler.lambda_handler(event("classify_image_input") | wrong, context)
    assert endpoint.requests == []


@pytest.mark.parametrize(
    "given",
    [
        [],
        {"s3_key": "k"},
        {"image_data": ""},
        {"image_data": 7},
        {"image_data": "no base64!"},
        {"image_data": "ä"},
    ],
)
def test_an_input_without_a_picture_is_invalid(endpoint, context, given):
    with pytest.raises(InvalidInput, match="image_data"):
        handler.lambda_handler(given, context)
    assert endpoint.requests == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"null",
        b"{}",
        b'"text"',
        b"[]",
        b"[[0.9, 0.1, 0.0]]",
        b'["0.9", "0.1", "0.0"]',
        b"[true, false, false]",
        b"[0.9, 0.1]",
        b"[0.7, 0.1, 0.1, 0.1]",
        b"[NaN, 0.5, 0.5]",
        b"[Infinity, 0, 0]",
        b"[1.5, -0.5, 0.0]",
        b"[0.5, 0.4, 0.05]",
        b"[1" + b"0" * 400 + b", 0, 0]",
        b"[1" + b"0" * 5000 + b", 0, 0]",
        b"[" * 60_000,
        b"\xff\xfe[",
    ],
)
def test_an_answer_without_probabilities_is_invalid(endpoint, invoke, body):
    """Anything that is not a list of probabilities."""
    answer(endpoint, body)

    with pytest.raises(InvalidInference) as caught:
        invoke()
    assert len(caught.value.reason) < 500


def test_an_endless_answer_is_not_read_to_its_end(endpoint, invoke):
    answer(endpoint, b"[" + b" " * 10_000_000)

    with pytest.raises(InvalidInference):
        invoke()


def test_probabilities_may_miss_1_by_rounding(endpoint, invoke):
    answer(endpoint, [0.9701, 0.0205, 0.0099])

    assert invoke()["inferences"] == [0.9701, 0.0205, 0.0099]


@pytest.mark.parametrize(
    "attributes", ["", "nonsense", "model=x", "labels=1766270d4724", "model=x;labels=000000000000"]
)
def test_an_answer_with_other_labels_or_no_model_is_invalid(endpoint, invoke, attributes):
    answer(endpoint, [0.971, 0.021, 0.008], attributes)

    with pytest.raises(InvalidInference, match="promote"):
        invoke()


@pytest.mark.parametrize(
    ("answered", "named"),
    [
        ((424, "ModelError", {"OriginalStatusCode": 500, "OriginalMessage": "boom"}), EndpointUnavailable),
        ((424, "ModelError", {"OriginalStatusCode": 503}), EndpointUnavailable),
        ((424, "ModelError", {"OriginalStatusCode": 429}), EndpointUnavailable),
        ((424, "ModelError", {}), EndpointUnavailable),
        ((424, "ModelError", {"OriginalStatusCode": 400, "OriginalMessage": "bad"}), InvalidInference),
        ((424, "ModelError", {"OriginalStatusCode": 415, "OriginalMessage": "bad"}), InvalidInference),
        ((429, "ModelNotReadyException", {}), EndpointUnavailable),
        ((400, "ThrottlingException", {}), EndpointUnavailable),
        ((500, "InternalFailure", {}), EndpointUnavailable),
        ((530, "InternalDependencyException", {}), EndpointUnavailable),
        ((503, "ServiceUnavailable", {}), EndpointUnavailable),
        ((400, "ValidationError", {}), Misconfigured),
        ((403, "AccessDeniedException", {}), Misconfigured),
    ],
)
def test_every_answer_of_the_service_has_a_name(endpoint, invoke, answered, named):
    status, code, facts = answered
    refuse(endpoint, status, code, **facts)

    with pytest.raises(named) as caught:
        invoke()
    assert type(caught.value) is named
    assert len(endpoint.requests) == 1


def test_an_answer_cut_off_is_unavailable(endpoint, invoke):
    answer(endpoint, b"[0.97", length=20)

    with pytest.raises(EndpointUnavailable):
        invoke()


def test_an_endpoint_that_hangs_is_unavailable(monkeypatch, endpoint, invoke):
    monkeypatch.setattr(handler, "READ_TIMEOUT_SECONDS", 1)
    answer(endpoint, [1, 0, 0], delay=30)

    with pytest.raises(EndpointUnavailable, match="timeout"):
        invoke()
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("value", ["", "not json", "[]", "{}", '["a", "a"]', '["a", 1]', '[""]'])
def test_unusable_labels_are_misconfigured(monkeypatch, endpoint, invoke, value):
    monkeypatch.setenv("LABELS", value)

    with pytest.raises(Misconfigured, match="LABELS"):
        invoke()
