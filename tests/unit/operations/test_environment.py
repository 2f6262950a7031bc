"""What a command does differently on this machine and on AWS."""

import re

import pytest

from scripts.common import paths
from scripts.deployment import environments
from scripts.models.registry import PromoteError
from scripts.operations.environment import AwsEnvironment, LocalEnvironment, get_environment


def test_the_name_local_is_compared_in_one_place():
    comparing = [
        path.name
        for path in (paths.ROOT / "scripts").rglob("*.py")
        if "local_aws" not in path.parts
        for _ in re.findall(r'[=!]= (?:LOCAL\b|"local")', path.read_text(encoding="utf-8"))
    ]

    assert comparing == ["environment.py"]
    assert isinstance(get_environment("local"), LocalEnvironment)
    assert get_environment("dev") == AwsEnvironment("dev")


def test_only_an_environment_on_aws_takes_variables_of_this_shell(monkeypatch):
    monkeypatch.setenv("TF_VAR_project", "other")

    assert ("TF_VAR_project", "other") in get_environment("dev").chosen
    assert not get_environment("local").chosen


def test_a_model_on_aws_needs_an_image():
    with pytest.raises(PromoteError, match="--image is needed"):
        get_environment("dev").image_uri(None)


def test_a_destroy_on_aws_leaves_the_model_file_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)
    assert get_environment("dev").forget_model() == ""
    (tmp_path / "dev.model.tfvars.json").touch()

    assert "dev.model.tfvars.json names a model that is gone" in get_environment("dev").forget_model()
