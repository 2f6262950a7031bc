"""Plans of the root module, made offline."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scripts import terraform_cli
from scripts.offline_terraform import ACCOUNT, offline

FOLDERS = ("serialize_image_data", "classify_image", "filter_inferences", "send_alert")


@dataclass(frozen=True, eq=False)
class RootModule:
    """A copy of terraform/ that plans without AWS."""

    folder: Path
    variables: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [terraform_cli.executable(), f"-chdir={self.folder}", *arguments]
        return subprocess.run(command, env=self.variables, capture_output=True, text=True, check=False)

    @cache  # noqa: B019 - lives as long as the session
    def _plan(self, environment: str, variables: str) -> tuple[int, str]:
        inputs = self.folder.parent / "inputs.tfvars.json"
        inputs.write_text(variables, encoding="utf-8")
        var_files = [f"-var-file=environments/{environment}.tfvars", f"-var-file={inputs}"]
        done = self.run("plan", "-no-color", "-input=false", "-lock=false", "-out=plan", *var_files)
        if done.returncode:
            return done.returncode, " ".join(re.sub("[│╷╵]", " ", done.stderr).split())
        shown = self.run("show", "-json", "plan")
        assert shown.returncode == 0, shown.stderr
        return 0, shown.stdout

    def plan(self, environment: str = "dev", **variables: Any) -> dict[str, Any]:
        """The plan of a first apply, as `terraform show -json` gives it."""
        code, text = self._plan(environment, json.dumps(variables))
        assert code == 0, text
        return json.loads(text)

    def refusal(self, environment: str = "dev", **variables: Any) -> str:
        """The error messages, on one line, of a plan that must fail."""
        code, text = self._plan(environment, json.dumps(variables))
        assert code != 0, "the plan was accepted"
        return text


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `make package` leaves it; a plan reads nothing of a zip but its hash."""
    folder = tmp_path_factory.mktemp("packages")
    for name in FOLDERS:
        (folder / f"{name}.zip").write_bytes(name.encode())
    manifest = {"runtime": "python3.13", "architecture": "arm64", "functions": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def root_module(tmp_path_factory: pytest.TempPathFactory, packages: Path) -> Iterator[RootModule]:
    own = {
        name: value
        for name, value in terraform_cli.environment().items()
        if not name.startswith(("AWS_", "TF_VAR_"))
    }
    with offline(tmp_path_factory.mktemp("root")) as module:
        yield RootModule(module.folder, own | module.variables | {"TF_VAR_package_dir": str(packages)})


@pytest.fixture(scope="session")
def model() -> Callable[..., dict[str, Any]]:
    """Makes the variable `model` as `scones promote` writes it, with changes."""

    def make(environment: str = "dev", **changes: Any) -> dict[str, Any]:
        prefix = f"scones-{environment}"
        return {
            "name": "bikes",
            "artifact_uri": f"s3://{prefix}-{ACCOUNT}-us-east-1/models/bikes/model.tar.gz",
            "sha256": "a" * 64,
            "image_uri": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/{prefix}-serving@sha256:{'b' * 64}",
            "labels": ["bicycle", "motorcycle", "neither"],
            "classes_of_interest": ["bicycle", "motorcycle"],
            "threshold": 0.93,
            "input_size": 32,
        } | changes

    return make


# Each plan takes seconds, so the tests share these few.


@pytest.fixture(scope="session")
def without_model(root_module: RootModule, packages: Path) -> dict[str, Any]:
    """The first apply on one machine, before anybody subscribes."""
    return root_module.plan("local", package_dir=str(packages), subscribers={})


@pytest.fixture(scope="session")
def provisioned(root_module: RootModule, model: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Everything on: production's settings with a model and a subscriber."""
    everything = ["low_confidence", "rejected", "system", "alarm", "batch", "drift"]
    return root_module.plan("prod", model=model("prod"), subscribers={"everything@example.com": everything})


@pytest.fixture(scope="session")
def serverless(root_module: RootModule, model: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    endpoint = {"serverless": {"memory_mb": 2048, "max_concurrency": 5}, "capture_percentage": 0}
    return root_module.plan("dev", model=model(), endpoint=endpoint)


@pytest.fixture(scope="session")
def development(root_module: RootModule, model: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return root_module.plan("dev", model=model())


@pytest.fixture(scope="session")
def development_with_another_artifact(
    root_module: RootModule, model: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    return root_module.plan("dev", model=model(sha256="c" * 64))


@pytest.fixture(scope="session")
def development_hosted_otherwise(
    root_module: RootModule, model: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    """The same model on a type with a disk of its own, with a threshold of one's own."""
    return root_module.plan("dev", model=model(), endpoint={"instance_type": "ml.g5.xlarge"}, threshold=0.97)


@pytest.fixture(scope="session")
def organisation(root_module: RootModule, model: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Development with what an organisation may demand, and another serving image."""
    return root_module.plan(
        "dev",
        model=model(image_uri=f"serving@sha256:{'d' * 64}"),
        tags={"owner": "vision"},
        permissions_boundary_arn=f"arn:aws:iam::{ACCOUNT}:policy/boundary",
        existing_key_arn=f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    )


@pytest.fixture(scope="session")
def planned() -> Callable[[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Turns a plan into {address: attributes after the apply}."""

    def by_address(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {change["address"]: change["change"]["after"] for change in plan["resource_changes"]}

    return by_address
