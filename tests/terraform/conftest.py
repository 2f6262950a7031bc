"""Plans of the root module, made offline."""

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.deployment import environments, terraform
from scripts.deployment.offline import ACCOUNT, offline

PLANS = Path(__file__).parent / "plans"
FOLDERS = ("serialize_image_data", "classify_image", "filter_inferences", "send_alert", "report_drift")


@dataclass(frozen=True, eq=False)
class RootModule:
    """A copy of terraform/ that plans without AWS."""

    folder: Path
    variables: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [terraform.executable(), f"-chdir={self.folder}", *arguments]
        return subprocess.run(command, env=self.variables, capture_output=True, text=True, check=False)

    def make_plan(
        self, environment: str, inputs: dict[str, Any], *options: str, state: dict[str, Any] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Plans with additional inputs, on a state; several may run at once."""
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as folder:
            variables, before = Path(folder) / "inputs.tfvars.json", Path(folder) / "before.tfstate"
            variables.write_text(json.dumps(inputs), encoding="utf-8")
            if state:
                before.write_text(json.dumps(state), encoding="utf-8")
            options += (f"-var-file=environments/{environment}.tfvars", f"-var-file={variables}")
            return self.run("plan", *environments.OPTIONS, "-refresh=false", f"-state={before}", *options)

    @cache  # noqa: B019 - lives as long as the session
    def _plan(self, environment: str, inputs: str, state: str) -> tuple[int, str]:
        with tempfile.NamedTemporaryFile(dir=self.folder.parent) as saved:
            out = f"-out={saved.name}"
            done = self.make_plan(environment, json.loads(inputs), out, state=json.loads(state))
            if done.returncode:
                return done.returncode, " ".join(re.sub("[│╷╵]", " ", done.stderr).split())
            shown = self.run("show", "-json", saved.name)
        assert shown.returncode == 0, shown.stderr
        return 0, shown.stdout

    def plan(
        self, environment: str = "dev", state: dict[str, Any] | None = None, **inputs: Any
    ) -> dict[str, Any]:
        """The plan of a first apply, or of one on a state, as `terraform show -json` gives it."""
        code, text = self._plan(environment, json.dumps(inputs), json.dumps(state))
        assert code == 0, text
        return json.loads(text)

    def refusal(self, environment: str = "dev", /, **inputs: Any) -> str:
        """The error messages, on one line, of a plan that must fail."""
        code, text = self._plan(environment, json.dumps(inputs), "null")
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
        for name, value in terraform.environment().items()
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
def expected_plans(model: Callable[..., dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """plans/*.yaml by name; "the model" in their inputs means a promoted one."""
    files = [path for path in PLANS.glob("*.yaml") if path.stem not in ("every", "upgrades")]
    read = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in files}
    for expected in read.values():
        if expected["inputs"].get("model") == "the model":
            expected["inputs"]["model"] = model(expected["environment"])
    return read


def _expected(root_module: RootModule, expected: dict[str, Any]) -> dict[str, Any]:
    return root_module.plan(expected["environment"], **expected["inputs"])


@pytest.fixture(scope="session")
def without_model(
    root_module: RootModule, packages: Path, expected_plans: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """The first apply on one machine."""
    expected = expected_plans["local"]
    return root_module.plan("local", package_dir=str(packages), **expected["inputs"])


@pytest.fixture(scope="session")
def development(root_module: RootModule, expected_plans: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return _expected(root_module, expected_plans["dev"])


@pytest.fixture(scope="session")
def provisioned(root_module: RootModule, expected_plans: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Everything on: production's settings with a model, a subscriber and a budget."""
    return _expected(root_module, expected_plans["prod"])


@pytest.fixture(scope="session")
def serverless(root_module: RootModule, expected_plans: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return _expected(root_module, expected_plans["serverless"])


@pytest.fixture(scope="session")
def organisation(root_module: RootModule, model: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Development with what an organisation may demand, on a type with a disk of its own."""
    return root_module.plan(
        "dev",
        model=model(former={"trikes": 0.98}),
        endpoint={"instance_type": "ml.g5.xlarge"},
        threshold=0.97,
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
