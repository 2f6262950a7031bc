"""`scones plan` as people and workflows call it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.common import paths
from scripts.deployment import environments, terraform
from scripts.operations.environment import get_environment

SCONES = Path(sys.executable).parent / "scones"


@pytest.fixture
def scones(packages: Path, tmp_path: Path) -> Any:
    """Runs `scones plan` without an account, and with nothing of this shell's AWS settings."""
    shell = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_"))}
    shell |= {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "TF_VAR_package_dir": str(packages),
        "TF_DATA_DIR": str(tmp_path / "data"),
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(SCONES), "plan", *arguments]
        return subprocess.run(command, env=shell, cwd=paths.ROOT, capture_output=True, text=True, check=False)

    return run


def test_a_first_apply_is_planned_without_an_account(scones: Any, tmp_path: Path) -> None:
    comment = tmp_path / "plan.md"
    done = scones("--env", "prod", "--offline", "--json", "--markdown", str(comment), "--pictures", "1000")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    counts = summary["counts"]
    assert counts["create"] > 40
    assert (counts["update"], counts["replace"], counts["destroy"]) == (0, 0, 0)
    assert summary["monthly_usd"]["before"] == 0
    assert summary["monthly_usd"]["volume"] == {"pictures": 1000, "megabytes": 3.0}
    assert Path(summary["plan"]).exists()
    text = comment.read_text(encoding="utf-8")
    assert text.startswith(f"<!-- scones plan prod -->\n## Plan for prod: {counts['create']} to add\n")
    assert "<details><summary>Terraform's plan</summary>" in text
    assert "will be created" in text


def test_missing_credentials_are_reported_with_the_way_without(scones: Any) -> None:
    done = scones("--env", "dev")
    assert done.returncode == 1
    assert "There are no AWS credentials for dev" in done.stderr
    assert "--offline" in done.stderr


def test_terraform_initialised_for_another_environment_is_not_switched(scones: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    backend = {"version": 3, "backend": {"type": "s3", "config": {"key": "prod/terraform.tfstate"}}}
    (tmp_path / "data" / "terraform.tfstate").write_text(json.dumps(backend), encoding="utf-8")
    done = scones("--env", "dev")
    assert done.returncode == 1
    assert "initialised for prod/terraform.tfstate, not for dev" in done.stderr
    assert "init -reconfigure -backend-config=environments/dev.s3.tfbackend" in done.stderr


def test_an_unknown_environment_is_refused_with_the_known_ones(scones: Any) -> None:
    done = scones("--env", "staging", "--offline")
    assert done.returncode == 1
    assert "the environments are dev, local, prod" in done.stderr


def test_settings_are_read_as_terraform_reads_them_defaults_included() -> None:
    settings = environments.settings("prod")

    assert (settings["project"], settings["region"], settings["protect_data"]) == (
        "scones",
        "us-east-1",
        True,
    )
    assert settings["endpoint"]["scaling"] == {"min": 2, "max": 6, "target": 6000}
    assert settings["endpoint"]["capture_percentage"] == 100


def test_settings_of_one_machine_do_not_follow_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    environments.settings.cache_clear()
    monkeypatch.setenv("TF_VAR_project", "other")
    monkeypatch.setenv("TF_WORKSPACE", "prod")
    terraform.environment.cache_clear()
    try:
        assert get_environment("local").settings()["project"] == "scones"
        assert get_environment("dev").settings()["project"] == "other"
    finally:
        environments.settings.cache_clear()
        terraform.environment.cache_clear()
