"""SageMaker endpoints that run the serving program as a child process, and InvokeEndpoint.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import re
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from scripts.local_aws.cloudwatch.metrics import Metrics
from scripts.local_aws.core import child_processes, moto_backends, unpacking
from scripts.local_aws.core.errors import ServiceError
from scripts.local_aws.core.faults import Call, Fault, Faults
from scripts.local_aws.core.protocol import Answer, Request
from scripts.local_aws.iam.authorization import Authorization, Caller
from scripts.local_aws.sagemaker.data_capture import DataCapture, Inference

INVOCATIONS = re.compile(r"^/endpoints/(?P<name>[^/]+)/invocations$")
STARTUP_SECONDS = 60.0
PING_SECONDS = 2.0
INVOCATION_SECONDS = 60.0
TERMINATION_SECONDS = 30.0
BODY_BYTES = 6 * 1024 * 1024
SERVERLESS_BODY_BYTES = 4 * 1024 * 1024
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


class StartFailed(Exception):
    """A variant could not be started; the text is the endpoint's FailureReason."""


@dataclass
class Variant:
    """A production variant: its configuration, its model's containers and role and, once started, the server."""

    name: str
    config: dict[str, Any]
    containers: list[dict[str, Any]]
    caller: Caller
    volume_key: str | None = None
    weight: float = 1.0
    process: Any = None
    pool: urllib3.HTTPConnectionPool | None = None

    @property
    def serverless(self) -> bool:
        return "ServerlessConfig" in self.config

    def description(self) -> dict[str, Any]:
        """The ProductionVariantSummary of DescribeEndpoint."""
        image, now = self.containers[0]["Image"], time.time()
        result: dict[str, Any] = {
            "VariantName": self.name,
            "DeployedImages": [
                {"SpecifiedImage": image, "ResolvedImage": _resolved(image), "ResolutionTime": now}
            ],
            "CurrentWeight": self.weight,
            "DesiredWeight": self.weight,
        }
        if self.serverless:
            serverless = self.config["ServerlessConfig"]
            return {**result, "CurrentServerlessConfig": serverless, "DesiredServerlessConfig": serverless}
        count = self.config.get("InitialInstanceCount", 1)
        return {**result, "CurrentInstanceCount": count, "DesiredInstanceCount": count}

    def stop(self) -> None:
        """SIGTERM, then after 30 seconds SIGKILL, as SageMaker does."""
        if self.process:
            child_processes.stop(self.process, TERMINATION_SECONDS)
        if self.pool:
            self.pool.close()


def start_variants(hosting: Hosting, endpoint: str, variants: list[Variant]) -> None:
    """Start the variants and wait until they answer /ping. Raises StartFailed."""
    for variant in variants:
        hosting.start(endpoint, variant)
    for variant in variants:
        hosting.await_ping(variant)


class Hosting:
    """The serving programs behind the endpoints.

    Args:
        state_dir: folder of models and logs.
        images: start command per image repository name.
        faults: what fails on purpose.
        authorization: decides what a model's role may do.
        metrics: counts requests.
    """

    def __init__(
        self,
        state_dir: Path,
        images: dict[str, list[str]],
        faults: Faults,
        authorization: Authorization,
        metrics: Metrics,
    ) -> None:
        self._folder = state_dir / "endpoints"
        self._metrics = metrics
        self._images = images
        self._faults = faults
        self._authorization = authorization
        self._reviving = threading.Lock()
        self._lock = threading.Lock()
        self._deployed: dict[str, list[Variant]] = {}
        self._arriving: dict[str, tuple[list[Variant], float]] = {}
        self._started: set[Any] = set()
        self._capture = DataCapture(authorization)

    def serves(self, endpoint: str) -> bool:
        return endpoint in self._deployed

    def check_model(self, container: dict[str, Any], caller: Caller) -> bytes:
        """Reach a model's image and archive by its role; returns the archive, empty where there is none.

        https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createmodel-perms
        Raises ServiceError when either may not be read or the archive is not there.
        """
        try:
            self._authorization.check(
                caller, "sagemaker:PullImage", repository=repository_arn(container["Image"])
            )
        except ServiceError as error:
            raise ServiceError("ValidationException", f"Access denied to image: {error.message}") from error
        url = container.get("ModelDataUrl")
        if not url:
            return b""
        bucket, _, key = url.removeprefix("s3://").partition("/")
        try:
            self._authorization.check(caller, "s3:ListObjects", Bucket=bucket, Prefix=key)
            self._authorization.check(caller, "s3:GetObject", Bucket=bucket, Key=key)
        except ServiceError as error:
            raise ServiceError(
                "ValidationException",
                f'Could not access model data at {url}. Please ensure that the role "{caller.role}" exists and that its '
                'trust relationship policy allows the action "sts:AssumeRole" for the service principal '
                f'"sagemaker.amazonaws.com". {error.message}',
            ) from error
        try:
            found = moto_backends.s3().get_object(bucket, key)
        except Exception:  # moto has no common class for a missing bucket and a missing key
            found = None
        if found is None:
            raise ServiceError("ValidationException", f"Could not find model data at {url}.")
        return found.value

    def start(self, endpoint: str, variant: Variant) -> None:
        """Start a variant's server. Raises StartFailed."""
        container = variant.containers[0]
        repository = repository_name(container["Image"])
        if repository not in self._images:
            known = ", ".join(self._images) or "none"
            raise StartFailed(f"No --image says how to start {repository!r}; known repositories: {known}.")
        model_dir = self._model_dir(container, variant.caller)
        self._check_instance(endpoint, variant)
        port = _free_port()
        environment = {
            **os.environ,
            **{name: str(value) for name, value in (container.get("Environment") or {}).items()},
            "SAGEMAKER_BIND_TO_PORT": str(port),
        }
        if model_dir is not None:
            environment["SM_MODEL_DIR"] = str(model_dir)
        variant.weight = float(variant.config.get("InitialVariantWeight", 1.0))
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{endpoint}-{variant.name}.log").open("ab") as log:
            try:
                variant.process = child_processes.start(
                    self._images[repository], environment, Path.cwd(), output=log
                )
            except OSError as error:
                raise StartFailed(
                    f"The container of variant {variant.name} did not start: {error}"
                ) from error
        variant.pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=16, retries=False)
        with self._lock:
            self._started.add(variant.process)

    def _check_instance(self, endpoint: str, variant: Variant) -> None:
        """What an instance does with the model's role: its volume, its log, its metrics. Raises StartFailed.

        Without the last two it serves all the same.
        """
        caller, allows = variant.caller, self._authorization.allows
        name = f"/aws/sagemaker/Endpoints/{endpoint}"
        if variant.volume_key:
            try:
                self._authorization.check(caller, "sagemaker:EncryptVolume", key=variant.volume_key)
            except ServiceError as error:
                raise StartFailed(error.message) from error
        allows(caller, "sagemaker:FindLogGroup", group=moto_backends.arn("logs", f"log-group:{name}"))
        stream = f"{variant.name}/{uuid.uuid4().hex[:8]}"
        self._authorization.may_log(caller, "sagemaker:WriteLogs", name, stream)
        namespace = (("cloudwatch:namespace", ("/aws/sagemaker/Endpoints",)),)
        allows(caller, "sagemaker:PutMetrics", context=namespace)

    def await_ping(self, variant: Variant) -> None:
        """Wait until the server answers /ping with 200. Raises StartFailed."""
        assert variant.pool is not None
        deadline = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < deadline and variant.process.poll() is None:
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                if variant.pool.request("GET", "/ping", timeout=PING_SECONDS).status == 200:
                    return
            time.sleep(0.05)
        raise StartFailed(
            f"The primary container for production variant {variant.name} did not pass the ping health check. "
            f"Please check the logs of this endpoint in {self._folder}."
        )

    def deploy(self, endpoint: str, variants: list[Variant], capture: dict[str, Any] | None) -> None:
        """Send the endpoint's requests to these variants from now on and stop its former ones."""
        with self._lock:
            former = self._deployed.get(endpoint, [])
            self._deployed[endpoint] = variants
            self._arriving.pop(endpoint, None)
        self._capture.configure(endpoint, capture, variants[0].caller)
        self._stop_soon(former)

    def shift(self, endpoint: str, variants: list[Variant], share: float) -> None:
        """Send this share of a running endpoint's requests to these variants, and the rest where it went."""
        with self._lock:
            if endpoint in self._deployed:
                self._arriving[endpoint] = (variants, share)

    def reweigh(self, endpoint: str, weights: dict[str, float]) -> None:
        for variant in self._deployed.get(endpoint, ()):
            variant.weight = float(weights.get(variant.name, variant.weight))

    def withdraw(self, endpoint: str) -> None:
        """Stop what the endpoint runs."""
        with self._lock:
            variants = self._deployed.pop(endpoint, [])
            variants += self._arriving.pop(endpoint, ([], 0.0))[0]
        self._capture.flush()
        self._capture.configure(endpoint, None, None)
        self._stop_soon(variants)

    def stop(self) -> None:
        """Stop every server, and give them no grace: they keep no state."""
        self._capture.flush()
        with self._lock:
            started, self._started = self._started, set()
        for process in started:
            child_processes.stop(process)

    def _stop_soon(self, variants: list[Variant]) -> None:
        for variant in variants:
            threading.Thread(target=self._stop, args=(variant,), daemon=True).start()

    def _stop(self, variant: Variant) -> None:
        variant.stop()
        with self._lock:
            self._started.discard(variant.process)

    def answer(self, request: Request) -> Answer:
        """Answer InvokeEndpoint. Raises ServiceError as the runtime API does."""
        match = INVOCATIONS.match(request.path)
        if not match or request.method != "POST":
            raise ServiceError("UnknownOperationException", f"There is no {request.method} {request.path}")
        name, body = match["name"], request.body()
        variant = self._choose(name, request.header("X-Amzn-SageMaker-Target-Variant"))
        limit = SERVERLESS_BODY_BYTES if variant.serverless else BODY_BYTES
        if len(body) > limit:
            raise ServiceError(
                "ValidationError", f"The body has {len(body)} bytes; at most {limit} are accepted.", 413
            )
        inference_id = request.header("X-Amzn-SageMaker-Inference-Id")
        started = time.monotonic()
        with self._faults.during(Call("sagemaker", "InvokeEndpoint", name, inference_id.encode())) as fault:
            reply = self._reply(request, name, variant, body, fault)
        self._count(name, variant.name, reply.status, time.monotonic() - started)
        if reply.status >= 400:
            return _model_error(variant, reply.status, reply.data)
        answered_type = reply.headers.get("Content-Type", "application/octet-stream")
        inference = Inference(
            sent=body,
            sent_type=request.content_type,
            answered=reply.data,
            answered_type=answered_type,
            inference_id=inference_id,
            custom_attributes=request.header(CUSTOM_ATTRIBUTES),
        )
        self._capture.record(name, variant.name, inference)
        headers = {
            "Content-Type": answered_type,
            "x-Amzn-Invoked-Production-Variant": variant.name,
            "x-amzn-RequestId": str(uuid.uuid4()),
        }
        if CUSTOM_ATTRIBUTES in reply.headers:
            headers[CUSTOM_ATTRIBUTES] = reply.headers[CUSTOM_ATTRIBUTES]
        return Answer(reply.data, 200, headers)

    def sample_load(self, at: float) -> None:
        """Count that instances run, as CloudWatch does each minute; how busy they are is not measured here.

        https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
        """
        for endpoint, variants in list(self._deployed.items()):
            for variant in variants:
                if not variant.serverless:
                    dimensions = {"EndpointName": endpoint, "VariantName": variant.name}
                    self._metrics.add("/aws/sagemaker/Endpoints", {"CPUUtilization": 1.0}, dimensions, at)

    def _count(self, endpoint: str, variant: str, status: int, seconds: float) -> None:
        """https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html; the latency in tenths of ms."""
        values = {
            "Invocations": 1.0,
            "Invocation4XXErrors": float(400 <= status < 500),
            "Invocation5XXErrors": float(status >= 500),
            "ModelLatency": round(seconds * 1e4) * 100.0,
        }
        self._metrics.add("AWS/SageMaker", values, {"EndpointName": endpoint, "VariantName": variant})

    def _choose(self, endpoint: str, target: str) -> Variant:
        variants = self._deployed.get(endpoint)
        arriving, share = self._arriving.get(endpoint, (None, 0.0))
        if arriving and random.random() < share:  # noqa: S311
            variants = arriving
        if not variants:
            raise ServiceError(
                "ValidationError", f"Endpoint {endpoint} of account {moto_backends.ACCOUNT} not found."
            )
        if not target:
            weights = [variant.weight for variant in variants]
            return random.choices(variants, weights if any(weights) else None)[0]  # noqa: S311
        for variant in variants:
            if variant.name == target:
                return variant
        raise ServiceError("ValidationError", f"Variant {target} not found in endpoint {endpoint}.")

    def _reply(
        self, request: Request, endpoint: str, variant: Variant, sent: bytes, fault: Fault
    ) -> urllib3.BaseHTTPResponse:
        if "answer" in fault:
            answer = fault["answer"]
            body = io.BytesIO(answer.get("body", "").encode())
            return urllib3.HTTPResponse(body, answer.get("headers"), answer.get("status", 200))
        try:
            self._revive(endpoint, variant)
        except StartFailed as error:
            return urllib3.HTTPResponse(body=str(error).encode(), status=500)
        return self._forward(request, variant, sent, fault.get("kill", False))

    def _revive(self, endpoint: str, variant: Variant) -> None:
        """SageMaker replaces a container that died; here the next request waits for it. Raises StartFailed."""
        with self._reviving:
            if variant.process.poll() is not None:
                variant.stop()
                self.start(endpoint, variant)
                self.await_ping(variant)

    def _forward(
        self, request: Request, variant: Variant, body: bytes, dying: bool
    ) -> urllib3.BaseHTTPResponse:
        assert variant.pool is not None
        names = ("Accept", CUSTOM_ATTRIBUTES)
        headers = {name: request.header(name) for name in names if request.header(name)}
        headers["Content-Type"] = request.content_type or "application/octet-stream"
        headers["Content-Length"] = str(len(body))
        sent = _killing_half_way(variant, body) if dying else body
        try:
            return variant.pool.request(
                "POST", "/invocations", body=sent, headers=headers, timeout=INVOCATION_SECONDS, redirect=False
            )
        except urllib3.exceptions.TimeoutError:
            text = "Your invocation timed out while waiting for a response from container primary."
        except urllib3.exceptions.HTTPError as error:
            text = f"The connection to container primary broke: {error}"
        return urllib3.HTTPResponse(body=text.encode(), status=500)

    def _model_dir(self, container: dict[str, Any], caller: Caller) -> Path | None:
        """The unpacked archive. Raises StartFailed if it cannot be fetched or would leave its folder."""
        try:
            data = self.check_model(container, caller)
        except ServiceError as error:
            raise StartFailed(error.message) from error
        if not data:
            return None
        folder = self._folder / "models" / hashlib.sha256(data).hexdigest()[:16]
        with self._lock:
            if not folder.exists():
                partial = folder.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)
                try:
                    unpacking.tar(data, partial)
                except unpacking.NotUnpacked as error:
                    raise StartFailed(
                        f"The model data at {container['ModelDataUrl']} cannot be unpacked: {error}"
                    ) from error
                partial.rename(folder)
        return folder


def _killing_half_way(variant: Variant, body: bytes) -> Iterator[bytes]:
    """A request's body, during which its server dies."""
    half = len(body) // 2
    yield body[:half]
    child_processes.stop(variant.process)
    yield body[half:]


def _model_error(variant: Variant, status: int, body: bytes) -> Answer:
    side = "client" if status < 500 else "server"
    text = body.decode("utf-8", "replace")
    message = (
        f'Received {side} error ({status}) from primary with message "{text}". '
        f"See the log of variant {variant.name} for more information."
    )
    content = {"ErrorCode": "", "Message": message, "OriginalMessage": text, "OriginalStatusCode": status}
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": "ModelError"}
    return Answer(json.dumps(content).encode(), 424, headers)


def repository_name(image: str) -> str:
    """The repository name within an image URI: without registry host, tag and digest."""
    path = image.split("@", 1)[0]
    host, _, rest = path.partition("/")
    return (rest if "." in host or ":" in host else path).split(":", 1)[0]


def repository_arn(image: str) -> str | None:
    """The repository that an image URI names, if it is one of ECR's."""
    found = re.match(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[^.]+)\.", image)
    return found and f"arn:aws:ecr:{found['region']}:{found['account']}:repository/{repository_name(image)}"


def _resolved(image: str) -> str:
    if "@sha256:" in image:
        return image
    return f"{image.rpartition(':')[0] or image}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
