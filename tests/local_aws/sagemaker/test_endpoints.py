"""SageMaker endpoints: https://docs.aws.amazon.com/sagemaker/latest/dg/realtime-endpoints.html."""

import base64
import io
import itertools
import json
import os
import tarfile
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_aws.conftest import Server, eventually, model_archive, process_exists


def create_config(server: Server, archive: bytes, **more: Any) -> str:
    """Create a model from the archive and an endpoint configuration with it; returns the configuration's name."""
    sagemaker, bucket, name = server.client("sagemaker"), server.create_bucket(), f"x-{uuid.uuid4().hex[:8]}"
    server.client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=archive)
    container = {
        "Image": more.pop("Image", "123456789012.dkr.ecr.us-east-1.amazonaws.com/serving:1"),
        "ModelDataUrl": f"s3://{bucket}/model.tar.gz",
        "Environment": {"SETTING": "on"},
    }
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=server.create_role(), PrimaryContainer=container)
    variant = {"VariantName": "primary", "ModelName": name}
    variant |= more.pop("Variant", {"InstanceType": "ml.c7i.large", "InitialInstanceCount": 1})
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **more)
    return name


def settled(server: Server, endpoint: str) -> dict[str, Any]:
    """The endpoint's description once nothing is in progress any more."""

    def describe() -> Any:
        description = server.client("sagemaker").describe_endpoint(EndpointName=endpoint)
        return description if not description["EndpointStatus"].endswith("ing") else None

    description: dict[str, Any] = eventually(describe, 60)
    return description


def deploy(server: Server, archive: bytes, **more: Any) -> str:
    config = create_config(server, archive, **more)
    server.client("sagemaker").create_endpoint(EndpointName=config, EndpointConfigName=config)
    assert settled(server, config)["EndpointStatus"] == "InService"
    return config


def invoke(server: Server, endpoint: str, body: bytes = b"x", **more: Any) -> dict[str, Any]:
    answer = server.client("sagemaker-runtime").invoke_endpoint(EndpointName=endpoint, Body=body, **more)
    return {**json.load(answer["Body"]), "answer": answer}


@pytest.fixture(scope="module")
def endpoint(server: Server) -> str:
    return deploy(server, model_archive(name="first"))


def test_bytes_and_headers_pass_untouched_in_both_directions(server: Server, endpoint: str) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html"""
    picture = b"\xff\xd8\xff\xe0" + os.urandom(100_000)
    told = invoke(
        server,
        endpoint,
        picture,
        ContentType="image/jpeg",
        Accept="application/json",
        CustomAttributes="trace=1",
    )
    assert base64.b64decode(told["body"]) == picture
    assert (told["content_type"], told["accept"], told["attributes"]) == (
        "image/jpeg",
        "application/json",
        "trace=1",
    )
    assert told["setting"] == "on"
    answer = told["answer"]
    assert answer["ContentType"] == "application/json"
    assert answer["CustomAttributes"] == "model=first"
    assert answer["InvokedProductionVariant"] == "primary"


def test_an_endpoint_describes_its_variants(server: Server, endpoint: str) -> None:
    description = server.client("sagemaker").describe_endpoint(EndpointName=endpoint)
    variant = description["ProductionVariants"][0]
    assert description["EndpointConfigName"] == endpoint
    assert (variant["VariantName"], variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (
        "primary",
        1,
        1.0,
    )
    assert variant["DeployedImages"][0]["SpecifiedImage"].endswith("/serving:1")
    assert "DataCaptureConfig" not in description


def test_an_update_answers_all_along_and_ends_with_the_new_model(server: Server) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpoint.html"""
    name = deploy(server, model_archive(name="old"))
    old = invoke(server, name)["pid"]
    config = create_config(server, model_archive(name="new", startup_seconds=1))
    sagemaker = server.client("sagemaker")
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    assert sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating"
    with pytest.raises(ClientError, match="in-progress"):
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    seen = [invoke(server, name)["name"]]
    while sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating":
        seen.append(invoke(server, name)["name"])
    assert set(seen) <= {"old", "new"}
    assert seen[0] == "old"
    assert invoke(server, name)["name"] == "new"
    assert sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"] == config
    eventually(lambda: not process_exists(old))


def blue_green(kind: str, percent: int, seconds: int = 200) -> dict[str, Any]:
    """A DeploymentConfig; the servers of these tests wait a hundredth of its seconds."""
    field = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}[kind]
    routing = {"Type": kind, "WaitIntervalInSeconds": seconds}
    routing[field] = {"Type": "CAPACITY_PERCENT", "Value": percent}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}


def update(server: Server, name: str, model: str, **more: Any) -> list[str]:
    """Updates an endpoint to another model; returns the names of those that answer until it is done."""
    sagemaker, seen = server.client("sagemaker"), []
    config = create_config(server, model_archive(name=model))
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, **more)
    while sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating":
        seen.append(invoke(server, name)["name"])
    return seen


@pytest.mark.parametrize(("kind", "percent"), [("CANARY", 50), ("LINEAR", 40)])
def test_while_the_traffic_shifts_both_models_answer(server: Server, kind: str, percent: int) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green-canary.html"""
    name = deploy(server, model_archive(name="old"))
    seen = update(server, name, "new", DeploymentConfig=blue_green(kind, percent))
    both = seen[seen.index("new") : len(seen) - seen[::-1].index("old")]
    assert both.count("old") >= 5
    assert both.count("new") >= 5
    assert {invoke(server, name)["name"] for _ in range(5)} == {"new"}


def test_an_update_moves_all_at_once_by_default(server: Server) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpoint.html: RetainDeploymentConfig"""
    name = deploy(server, model_archive(name="first"))
    update(server, name, "second", DeploymentConfig=blue_green("CANARY", 50))
    seen = update(server, name, "third")
    assert seen == sorted(seen)


def test_an_endpoint_deleted_while_its_traffic_shifts_ends_both_processes(server: Server) -> None:
    name = deploy(server, model_archive(name="old"))
    sagemaker, pids = server.client("sagemaker"), {}
    sagemaker.update_endpoint(
        EndpointName=name,
        EndpointConfigName=create_config(server, model_archive(name="new")),
        DeploymentConfig=blue_green("CANARY", 50, 3600),
    )

    def both() -> bool:
        told = invoke(server, name)
        pids[told["name"]] = told["pid"]
        return len(pids) == 2

    eventually(both)
    sagemaker.delete_endpoint(EndpointName=name)
    eventually(lambda: not any(map(process_exists, pids.values())))


@pytest.mark.parametrize(("kind", "percent"), [("CANARY", 51), ("LINEAR", 9), ("LINEAR", 51)])
def test_steps_of_sizes_that_sagemaker_does_not_take_are_refused(
    server: Server, endpoint: str, kind: str, percent: int
) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TrafficRoutingConfig.html"""
    with pytest.raises(ClientError, match=f"{percent}"):
        server.client("sagemaker").update_endpoint(
            EndpointName=endpoint, EndpointConfigName=endpoint, DeploymentConfig=blue_green(kind, percent)
        )


def test_an_update_that_fails_keeps_the_old_model(server: Server) -> None:
    name = deploy(server, model_archive(name="old"))
    config = create_config(server, model_archive(refuses_to_start=True))
    server.client("sagemaker").update_endpoint(EndpointName=name, EndpointConfigName=config)
    description = settled(server, name)
    assert description["EndpointStatus"] == "InService"
    assert description["EndpointConfigName"] == name
    assert "ping health check" in description["FailureReason"]
    assert invoke(server, name)["name"] == "old"


@pytest.mark.parametrize(
    ("archive", "more", "reason"),
    [
        (model_archive(refuses_to_start=True), {}, "did not pass the ping health check"),
        (b"no archive", {}, "cannot be unpacked"),
        (model_archive(name="x"), {"Image": "other:1"}, "No --image"),
    ],
)
def test_an_endpoint_that_cannot_start_has_failed(
    server: Server, archive: bytes, more: dict[str, Any], reason: str
) -> None:
    config = create_config(server, archive, **more)
    server.client("sagemaker").create_endpoint(EndpointName=config, EndpointConfigName=config)
    description = settled(server, config)
    assert description["EndpointStatus"] == "Failed"
    assert reason in description["FailureReason"]
    with pytest.raises(ClientError, match="not found"):
        invoke(server, config)


@pytest.mark.parametrize(("status", "side"), [(400, "client"), (500, "server")])
def test_errors_of_the_container_are_model_errors(server: Server, status: int, side: str) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html"""
    name = deploy(server, model_archive(name="x", status=status))
    with pytest.raises(ClientError) as error:
        invoke(server, name)
    response = error.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["Error"]["Code"] == "ModelError"
    assert f"Received {side} error ({status})" in response["Error"]["Message"]
    assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (status, "the model says no")


def test_a_missing_endpoint_is_a_validation_error(server: Server) -> None:
    with pytest.raises(ClientError) as error:
        invoke(server, "nowhere")
    assert error.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="Could not find endpoint"):
        server.client("sagemaker").describe_endpoint(EndpointName="nowhere")


def test_a_body_beyond_the_limit_is_refused(server: Server, endpoint: str) -> None:
    invoke(server, endpoint, b"x" * 6_291_456)
    with pytest.raises(ClientError):
        invoke(server, endpoint, b"x" * 6_291_457)


def test_a_model_needs_its_data(server: Server) -> None:
    container = {"Image": "serving:1", "ModelDataUrl": "s3://nowhere/model.tar.gz"}
    with pytest.raises(ClientError, match="Could not find model data"):
        server.client("sagemaker").create_model(
            ModelName="x", ExecutionRoleArn=server.create_role(), PrimaryContainer=container
        )


def test_a_deleted_endpoint_ends_its_process(server: Server) -> None:
    name = deploy(server, model_archive(name="x"))
    pid = invoke(server, name)["pid"]
    server.client("sagemaker").delete_endpoint(EndpointName=name)
    eventually(lambda: not process_exists(pid))
    with pytest.raises(ClientError):
        invoke(server, name)


def capture_config(bucket: str, **more: Any) -> dict[str, Any]:
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{bucket}/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        **more,
    }


def captured(server: Server, bucket: str) -> list[str]:
    s3 = server.client("s3")
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
    lines = [s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode().splitlines() for key in keys]
    return keys and [keys[0], *itertools.chain.from_iterable(lines)]


def test_data_capture_writes_requests_and_answers(server: Server) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html"""
    bucket = server.create_bucket()
    name = deploy(server, model_archive(name="x"), DataCaptureConfig=capture_config(bucket))
    summary = server.client("sagemaker").describe_endpoint(EndpointName=name)["DataCaptureConfig"]
    assert (summary["EnableCapture"], summary["CaptureStatus"]) == (True, "Started")
    invoke(server, name, b"\x89PNG", ContentType="image/png", InferenceId="van-17")
    key, line = eventually(lambda: captured(server, bucket))[:2]
    parts = key.split("/")
    assert parts[:3] == ["capture", name, "primary"]
    assert [len(part) for part in parts[3:7]] == [4, 2, 2, 2]
    assert parts[7].endswith(".jsonl")
    record = json.loads(line)
    sent, answered = record["captureData"]["endpointInput"], record["captureData"]["endpointOutput"]
    assert (sent["observedContentType"], sent["mode"], sent["encoding"]) == ("image/png", "INPUT", "BASE64")
    assert base64.b64decode(sent["data"]) == b"\x89PNG"
    assert (answered["mode"], answered["encoding"]) == ("OUTPUT", "JSON")
    assert json.loads(answered["data"])["name"] == "x"
    assert record["eventVersion"] == "0"
    assert set(record["eventMetadata"]) == {"eventId", "inferenceTime", "inferenceId"}
    assert record["eventMetadata"]["inferenceId"] == "van-17"


def test_a_serverless_endpoint_serves_and_cannot_capture(server: Server) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html#serverless-endpoints-how-it-works-exclusions"""
    serverless = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 2}}
    name = deploy(server, model_archive(name="x"), Variant=serverless)
    assert invoke(server, name)["name"] == "x"
    description = server.client("sagemaker").describe_endpoint(EndpointName=name)
    assert description["ProductionVariants"][0]["CurrentServerlessConfig"] == serverless["ServerlessConfig"]
    with pytest.raises(ClientError, match="capture"):
        create_config(
            server, model_archive(name="x"), Variant=serverless, DataCaptureConfig=capture_config("somewhere")
        )


def test_a_hostile_archive_cannot_leave_its_folder(server: Server) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../../escaped"), io.BytesIO())
    config = create_config(server, buffer.getvalue())
    server.client("sagemaker").create_endpoint(EndpointName=config, EndpointConfigName=config)
    assert "cannot be unpacked" in settled(server, config)["FailureReason"]
    assert not list(server.state_dir.rglob("escaped"))
