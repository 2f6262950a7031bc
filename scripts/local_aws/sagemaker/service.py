"""SageMaker's control plane for hosting: models, endpoint configurations, endpoints.

moto fills answers with empty structures that make Terraform replace resources, and knows no UpdateEndpoint, so
these resources are kept here, as they were asked for.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Operations_Amazon_SageMaker_Service.html
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from typing import Any

from scripts.local_aws.core import moto_backends
from scripts.local_aws.core.errors import ServiceError
from scripts.local_aws.iam.authorization import Caller
from scripts.local_aws.sagemaker.endpoints import Hosting, StartFailed, Variant, start_variants

Payload = dict[str, Any]
# Steps of an update: (share of the requests that the new variants get, seconds until the next step).
TrafficShift = Sequence[tuple[float, float]]


class SageMaker:
    """Models, endpoint configurations and endpoints.

    Args:
        hosting: runs what the endpoints serve.
        wait_scale: factor on the pauses while the traffic of an update shifts.
    """

    def __init__(self, hosting: Hosting, wait_scale: float) -> None:
        self._hosting = hosting
        self._wait_scale = wait_scale
        self._lock = threading.RLock()
        self._resources: dict[str, dict[str, Payload]] = {"model": {}, "endpoint-config": {}, "endpoint": {}}
        self._tags: dict[str, dict[str, str]] = {}
        self.actions = {
            "CreateModel": self.create_model,
            "DescribeModel": lambda payload: self._describe("model", payload["ModelName"]),
            "DeleteModel": lambda payload: self._delete("model", payload["ModelName"]),
            "ListModels": lambda payload: self._list("model", "Model", payload),
            "CreateEndpointConfig": self.create_endpoint_config,
            "DescribeEndpointConfig": lambda payload: self._describe(
                "endpoint-config", payload["EndpointConfigName"]
            ),
            "DeleteEndpointConfig": lambda payload: self._delete(
                "endpoint-config", payload["EndpointConfigName"]
            ),
            "ListEndpointConfigs": lambda payload: self._list("endpoint-config", "EndpointConfig", payload),
            "CreateEndpoint": self.create_endpoint,
            "UpdateEndpoint": self.update_endpoint,
            "UpdateEndpointWeightsAndCapacities": self.update_weights,
            "DescribeEndpoint": lambda payload: self._describe("endpoint", payload["EndpointName"]),
            "DeleteEndpoint": self.delete_endpoint,
            "ListEndpoints": lambda payload: self._list("endpoint", "Endpoint", payload),
            "AddTags": self.add_tags,
            "ListTags": self.list_tags,
            "DeleteTags": self.delete_tags,
        }

    def handle(self, action: str, payload: Payload) -> Payload:
        """Answer one action. Raises ServiceError as SageMaker does."""
        with self._lock:
            return self.actions[action](payload)

    def create_model(self, payload: Payload) -> Payload:
        containers = payload.get("Containers") or [payload.get("PrimaryContainer")]
        caller = _caller("model", payload["ModelName"], payload["ExecutionRoleArn"])
        for container in containers:
            if container:
                self._hosting.check_model(container, caller)
        return self._create(
            "model", payload["ModelName"], payload, "ModelArn", {"EnableNetworkIsolation": False}
        )

    def create_endpoint_config(self, payload: Payload) -> Payload:
        for variant in payload.get("ProductionVariants", ()):
            self._find("model", variant["ModelName"])
            if "ServerlessConfig" in variant and payload.get("DataCaptureConfig", {}).get("EnableCapture"):
                raise _invalid("Data capture is not supported for serverless endpoints.")
            if "ServerlessConfig" not in variant and not variant.get("InstanceType"):
                raise _invalid(
                    f"The variant {variant['VariantName']} has neither an instance type nor is serverless."
                )
            variant.setdefault("InitialVariantWeight", 1.0)
        return self._create(
            "endpoint-config", payload["EndpointConfigName"], payload, "EndpointConfigArn", {}
        )

    def create_endpoint(self, payload: Payload) -> Payload:
        name = payload["EndpointName"]
        config = self._find("endpoint-config", payload["EndpointConfigName"])
        facts: Payload = {"EndpointStatus": "Creating", "LastModifiedTime": time.time()}
        if "DeploymentConfig" in payload:
            facts["LastDeploymentConfig"] = payload.pop("DeploymentConfig")
        answer = self._create("endpoint", name, payload, "EndpointArn", facts)
        self._roll_out(self._resources["endpoint"][name], config)
        return answer

    def update_endpoint(self, payload: Payload) -> Payload:
        """The old variants answer until the new ones do, or both while the traffic shifts; if the new ones do not
        start, the old ones stay.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpoint.html
        """
        endpoint = self._find("endpoint", payload["EndpointName"])
        config = self._find("endpoint-config", payload["EndpointConfigName"])
        if endpoint["EndpointStatus"] not in ("InService", "Failed"):
            raise _invalid(f'Cannot update in-progress endpoint "{endpoint["EndpointArn"]}".')
        shift = _traffic_shift(payload.get("DeploymentConfig"))
        endpoint["EndpointStatus"] = "Updating"
        if "DeploymentConfig" in payload:
            endpoint["LastDeploymentConfig"] = payload["DeploymentConfig"]
        self._roll_out(endpoint, config, shift)
        return {"EndpointArn": endpoint["EndpointArn"]}

    def update_weights(self, payload: Payload) -> Payload:
        endpoint = self._find("endpoint", payload["EndpointName"])
        variants = {variant["VariantName"]: variant for variant in endpoint["ProductionVariants"]}
        for wanted in payload["DesiredWeightsAndCapacities"]:
            variant = variants.get(wanted["VariantName"])
            if variant is None:
                raise _invalid(f'The variant name(s) "{wanted["VariantName"]}" is/are not present.')
            for kind, field in (("Weight", "DesiredWeight"), ("InstanceCount", "DesiredInstanceCount")):
                if field in wanted:
                    variant[field] = variant[f"Current{kind}"] = wanted[field]
        self._hosting.reweigh(
            endpoint["EndpointName"], {n: v.get("CurrentWeight", 1) for n, v in variants.items()}
        )
        return {"EndpointArn": endpoint["EndpointArn"]}

    def delete_endpoint(self, payload: Payload) -> Payload:
        name = payload["EndpointName"]
        self._delete("endpoint", name)
        self._hosting.withdraw(name)
        return {}

    def add_tags(self, payload: Payload) -> Payload:
        tags = self._tags.setdefault(payload["ResourceArn"], {})
        tags.update({tag["Key"]: tag["Value"] for tag in payload["Tags"]})
        return {"Tags": _as_list(tags)}

    def list_tags(self, payload: Payload) -> Payload:
        return {"Tags": _as_list(self._tags.get(payload["ResourceArn"], {}))}

    def delete_tags(self, payload: Payload) -> Payload:
        for key in payload["TagKeys"]:
            self._tags.get(payload["ResourceArn"], {}).pop(key, None)
        return {}

    def _create(self, kind: str, name: str, payload: Payload, arn_field: str, facts: Payload) -> Payload:
        if not re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name):
            raise _invalid(f"Value '{name}' is not a valid name: up to 63 letters, digits and hyphens")
        arn = moto_backends.arn("sagemaker", f"{kind}/{name.lower()}")
        if name in self._resources[kind]:
            raise _invalid(f'Cannot create already existing {kind.replace("-", " ")} "{arn}".')
        asked = {field: value for field, value in payload.items() if field != "Tags"}
        self._resources[kind][name] = {**facts, **asked, arn_field: arn, "CreationTime": time.time()}
        self._tags[arn] = {tag["Key"]: tag["Value"] for tag in payload.get("Tags", ())}
        return {arn_field: arn}

    def _find(self, kind: str, name: str) -> Payload:
        if name not in self._resources[kind]:
            arn = moto_backends.arn("sagemaker", f"{kind}/{name.lower()}")
            # Terraform's provider recognises by these exact words that a resource is gone.
            what = {"endpoint-config": "endpoint configuration"}.get(kind, kind)
            raise _invalid(f'Could not find {what} "{arn}".')
        return self._resources[kind][name]

    def _describe(self, kind: str, name: str) -> Payload:
        return dict(self._find(kind, name))

    def _delete(self, kind: str, name: str) -> Payload:
        resource = self._find(kind, name)
        del self._resources[kind][name]
        for field in ("ModelArn", "EndpointConfigArn", "EndpointArn"):
            self._tags.pop(resource.get(field, ""), None)
        return {}

    def _list(self, kind: str, prefix: str, payload: Payload) -> Payload:
        fields = (f"{prefix}Name", f"{prefix}Arn", "CreationTime", "LastModifiedTime", "EndpointStatus")
        found = [r for n, r in self._resources[kind].items() if payload.get("NameContains", "") in n]
        return {f"{prefix}s": [{field: r[field] for field in fields if field in r} for r in found]}

    def _roll_out(self, endpoint: Payload, config: Payload, shift: TrafficShift = ()) -> None:
        variants = [
            self._variant(endpoint["EndpointName"], config, each) for each in config["ProductionVariants"]
        ]
        threading.Thread(target=self._start, args=(endpoint, config, variants, shift), daemon=True).start()

    def _variant(self, endpoint: str, config: Payload, variant: Payload) -> Variant:
        model = self._find("model", variant["ModelName"])
        containers = model.get("Containers") or [model["PrimaryContainer"]]
        caller = _caller("endpoint", endpoint, model["ExecutionRoleArn"])
        return Variant(variant["VariantName"], variant, containers, caller, config.get("KmsKeyId"))

    def _start(
        self, endpoint: Payload, config: Payload, variants: list[Variant], shift: TrafficShift
    ) -> None:
        name = endpoint["EndpointName"]
        failure = None
        try:
            start_variants(self._hosting, name, variants)
            for share, seconds in shift:
                self._hosting.shift(name, variants, share)
                time.sleep(seconds * self._wait_scale)
        except StartFailed as error:
            failure = str(error)
        with self._lock:
            deleted = self._resources["endpoint"].get(name) is not endpoint
            if deleted or failure:
                for variant in variants:
                    variant.stop()
            if deleted:
                return
            endpoint["LastModifiedTime"] = time.time()
            if failure:
                endpoint["FailureReason"] = failure
                endpoint["EndpointStatus"] = "InService" if self._hosting.serves(name) else "Failed"
                return
            endpoint.pop("FailureReason", None)
            endpoint["EndpointConfigName"] = config["EndpointConfigName"]
            endpoint["ProductionVariants"] = [variant.description() for variant in variants]
            capture = config.get("DataCaptureConfig")
            endpoint.pop("DataCaptureConfig", None)
            if capture:
                endpoint["DataCaptureConfig"] = _capture_summary(capture)
            self._hosting.deploy(name, variants, capture)
            endpoint["EndpointStatus"] = "InService"


def _traffic_shift(deployment: Payload | None) -> TrafficShift:
    """The steps of a canary or linear update; none where all the traffic moves at once, as by default.

    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green-canary.html
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TrafficRoutingConfig.html
    """
    policy = (deployment or {}).get("BlueGreenUpdatePolicy", {})
    routing = policy.get("TrafficRoutingConfiguration", {"Type": "ALL_AT_ONCE"})
    if routing["Type"] == "ALL_AT_ONCE":
        return []
    field, least = ("CanarySize", 1) if routing["Type"] == "CANARY" else ("LinearStepSize", 10)
    size, seconds = routing[field], routing["WaitIntervalInSeconds"]
    if size["Type"] != "CAPACITY_PERCENT":
        raise NotImplementedError(f"{field} of type {size['Type']}: only CAPACITY_PERCENT is known here.")
    percent = size["Value"]
    if not least <= percent <= 50:
        raise _invalid(f"{field} is {percent} percent: it must be {least} to 50 percent of the capacity.")
    shares = [percent] if routing["Type"] == "CANARY" else range(percent, 100, percent)
    return [(share / 100, seconds) for share in (*shares, 100)]


def _caller(kind: str, name: str, role: str) -> Caller:
    return Caller("sagemaker.amazonaws.com", role, moto_backends.arn("sagemaker", f"{kind}/{name.lower()}"))


def _capture_summary(capture: Payload) -> Payload:
    return {
        "EnableCapture": bool(capture.get("EnableCapture")),
        "CaptureStatus": "Started" if capture.get("EnableCapture") else "Stopped",
        "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
        "DestinationS3Uri": capture["DestinationS3Uri"],
        "KmsKeyId": capture.get("KmsKeyId", ""),
    }


def _as_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)
