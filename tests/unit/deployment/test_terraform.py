"""Terraform is found, judged and given a provider, or one clear line says what is missing."""

import os
import stat
from pathlib import Path

import pytest

from scripts.deployment import terraform
from scripts.deployment.environments import PlanError
from scripts.deployment.outputs import NotDeployed
from scripts.deployment.terraform import MirrorMissing, TerraformFailed, TerraformMissing
from scripts.operations.environment import get_environment


@pytest.fixture(autouse=True)
def forget():
    """What was found once is remembered: each test starts without memory."""
    terraform.executable.cache_clear()
    terraform.environment.cache_clear()
    yield
    terraform.executable.cache_clear()
    terraform.environment.cache_clear()


@pytest.fixture
def fake_terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a terraform on PATH that answers as it is told."""

    def install(script: str) -> None:
        path = tmp_path / "terraform"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")

    return install


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    (tmp_path / "mirror" / terraform.PROVIDER).mkdir(parents=True)
    return tmp_path / "mirror"


def test_a_missing_terraform_is_one_line_that_names_the_version(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(TerraformMissing, match=r"install version 1\.10 or newer") as caught:
        terraform.executable()

    assert "\n" not in str(caught.value)


def test_an_old_terraform_is_refused_by_its_version(fake_terraform):
    fake_terraform("echo 'Terraform v1.9.8'")

    with pytest.raises(TerraformMissing, match=r"1\.9 is too old"):
        terraform.executable()


@pytest.mark.parametrize("version", ["1.10.0", "1.11.4", "2.0.0"])
def test_a_new_terraform_is_taken(fake_terraform, tmp_path, version):
    fake_terraform(f"echo 'Terraform v{version}'")

    assert terraform.executable() == str(tmp_path / "terraform")


def test_a_configuration_of_the_users_own_wins(tmp_path, monkeypatch):
    own = tmp_path / "own.rc"
    own.write_text("")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(own))

    assert terraform.environment()["TF_CLI_CONFIG_FILE"] == str(own)


def test_a_named_mirror_is_written_into_the_configuration(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("SCONES_PROVIDER_MIRROR", str(mirror))
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(tmp_path / "none.rc"))
    monkeypatch.setattr(terraform, "WORK", tmp_path)

    configuration = Path(terraform.environment()["TF_CLI_CONFIG_FILE"]).read_text()

    assert f'path = "{mirror}"' in configuration


def test_a_named_mirror_without_the_provider_says_how_to_fill_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SCONES_PROVIDER_MIRROR", str(tmp_path))

    with pytest.raises(MirrorMissing, match="terraform providers mirror"):
        terraform.find_mirror()


def test_a_mirror_in_one_of_the_usual_places_is_found(mirror, tmp_path, monkeypatch):
    monkeypatch.delenv("SCONES_PROVIDER_MIRROR", raising=False)
    monkeypatch.setattr(terraform, "MIRROR_PLACES", (str(tmp_path),))

    assert terraform.find_mirror() == mirror


def test_with_neither_registry_nor_mirror_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("SCONES_PROVIDER_MIRROR", raising=False)
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(tmp_path / "none.rc"))
    monkeypatch.setattr(terraform, "MIRROR_PLACES", (str(tmp_path),))
    monkeypatch.setattr(terraform, "registry_answers", lambda: False)

    with pytest.raises(MirrorMissing, match="SCONES_PROVIDER_MIRROR"):
        terraform.environment()


def test_a_failing_terraform_shows_its_last_words(fake_terraform):
    fake_terraform(
        '[ "$1" = version ] && echo "Terraform v1.11.4" && exit 0\necho "Error: no such bucket" && exit 1'
    )

    with pytest.raises(TerraformFailed, match="no such bucket"):
        terraform.run("plan")


def test_a_failing_plan_shows_its_errors_without_the_plan_before_them(fake_terraform):
    fake_terraform(
        '[ "$1" = version ] && echo "Terraform v1.11.4" && exit 0\n'
        "i=0; while [ $i -lt 300 ]; do echo '  + known = \"after apply\"'; i=$((i+1)); done\n"
        "printf 'Plan: 39 to add\\n\\nError: Invalid value\\n\\nrun make package\\n' && exit 1"
    )

    with pytest.raises(TerraformFailed) as caught:
        terraform.run("plan")

    assert str(caught.value) == "terraform plan failed (1):\nError: Invalid value\n\nrun make package\n"


def test_an_accepted_exit_code_is_not_a_failure(fake_terraform):
    """Lines are seen as they come."""
    fake_terraform('[ "$1" = version ] && echo "Terraform v1.11.4" && exit 0\necho one\necho two\nexit 2')
    seen: list[str] = []

    code, output = terraform.run("plan", accept=(0, 2), on_line=seen.append)

    assert (code, output, seen) == (2, "one\ntwo\n", ["one", "two"])


def test_an_interrupted_terraform_finishes_its_work(fake_terraform, tmp_path):
    """It hears of the interruption once."""
    heard = tmp_path / "heard"
    fake_terraform(
        'case "$*" in version) echo "Terraform v1.11.0";; *)\n'
        f"trap 'echo term >> {heard}' TERM; trap 'echo int >> {heard}' INT\n"
        f"echo working; sleep 0.2; echo saved >> {heard};; esac"
    )

    def ctrl_c(_line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        terraform.run("apply", on_line=ctrl_c)

    assert heard.read_text().split() == ["term", "saved"]


def test_what_is_given_reaches_its_standard_input(fake_terraform):
    fake_terraform('case "$*" in version) echo "Terraform v1.11.0";; *) cat;; esac')

    assert terraform.run("console", given="var.region\n") == (0, "var.region\n")


def test_a_mistyped_environment_is_refused_with_the_known_ones():
    with pytest.raises(PlanError, match="the environments are dev, local, prod"):
        get_environment("dve").deployment()


def test_where_terraform_is_not_initialised_the_exact_command_is_named(
    fake_terraform, mirror, tmp_path, monkeypatch
):
    monkeypatch.setenv("TF_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SCONES_PROVIDER_MIRROR", str(mirror))
    fake_terraform(
        "[ $1 = version ] && echo Terraform v1.11.4 && exit\n"
        """echo '│ Error: Backend initialization required, please run "terraform init"'; exit 1"""
    )

    with pytest.raises(NotDeployed) as caught:
        get_environment("dev").deployment()

    assert str(caught.value) == (
        "terraform/ is not initialised for dev: run "
        "`terraform -chdir=terraform init -backend-config=environments/dev.s3.tfbackend`."
    )


def test_own_variables_shut_out_the_shells(fake_terraform, monkeypatch):
    """With variables of its own, Terraform gets none that this shell has set for it."""
    for name in ("TF_WORKSPACE", "TF_DATA_DIR", "TF_CLI_ARGS_plan", "TF_VAR_project", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "of-the-shell")
    fake_terraform('case "$*" in version) echo "Terraform v1.11.0";; *) env;; esac')

    _, own = terraform.run("show", extra_environment={"TF_DATA_DIR": "own"})
    _, shells = terraform.run("show")

    assert "of-the-shell" not in own
    assert {"TF_DATA_DIR=own", "TF_WORKSPACE=default"} <= {*own.splitlines()}
    assert shells.count("of-the-shell") == 5
