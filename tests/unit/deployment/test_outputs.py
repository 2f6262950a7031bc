"""Terraform's outputs as the command line reads them."""

import re

import pytest

from scripts.common import paths
from scripts.deployment.outputs import Deployment, Output, OutputMissing


def test_a_deployment_knows_every_output_of_terraform_and_no_other():
    text = (paths.TERRAFORM / "outputs.tf").read_text(encoding="utf-8")

    known = {name for name, value in vars(Deployment).items() if isinstance(value, Output)}

    assert known == set(re.findall(r'^output "(\w+)"', text, re.MULTILINE))


def test_an_output_that_an_earlier_version_did_not_have_is_named_with_what_to_do():
    deployment = Deployment({"bucket": "pictures"}, {})

    assert deployment.bucket == "pictures"
    with pytest.raises(OutputMissing, match="no output 'key_arn': run `terraform apply` again"):
        _ = deployment.key_arn


def test_an_output_that_may_be_null_is_none_without_a_model():
    assert Deployment({}, {}).endpoint_name is None
