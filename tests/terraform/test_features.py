"""The organisation's rules in plain words (features/), held against a plan."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FEATURES = Path(__file__).parent / "features"

# One weakening for every scenario.
WEAKENINGS = {
    '"sse_algorithm": "aws:kms"': '"sse_algorithm": "AES256"',
    '"block_public_acls": true': '"block_public_acls": false',
    '"block_public_policy": true': '"block_public_policy": false',
    '"ignore_public_acls": true': '"ignore_public_acls": false',
    '"restrict_public_buckets": true': '"restrict_public_buckets": false',
    '"status": "Enabled"': '"status": "Suspended"',
    r"\"aws:SecureTransport\":\"false\"": r"\"aws:SecureTransport\":\"true\"",
    '"enabled": true': '"enabled": false',
    '"enable_key_rotation": true': '"enable_key_rotation": false',
}


def compliance(plan: dict[str, Any], folder: Path) -> tuple[int, dict[str, int], str]:
    """(exit code, {"passed": n, "failed": n, "skipped": n} scenarios, output) of terraform-compliance."""
    path = folder / "plan.json"
    path.write_text(json.dumps(plan), encoding="utf-8")
    program = Path(sys.executable).parent / "terraform-compliance"
    command = [str(program), "-p", str(path), "-f", str(FEATURES), "--no-ansi"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = re.search(r"\d+ scenarios \((.*)\)", done.stdout)
    assert line, done.stdout + done.stderr
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (\w+)", line[1]) if n != "0"}
    return done.returncode, counts, done.stdout


def test_plan_keeps_every_rule(provisioned: dict[str, Any], tmp_path: Path) -> None:
    code, scenarios, output = compliance(provisioned, tmp_path)
    assert (code, set(scenarios)) == (0, {"passed"}), output


def test_every_rule_notices_its_weakening(provisioned: dict[str, Any], tmp_path: Path) -> None:
    text = json.dumps(provisioned)
    for strong, weak in WEAKENINGS.items():
        assert strong in text
        text = text.replace(strong, weak)
    code, scenarios, output = compliance(json.loads(text), tmp_path)
    assert (code != 0, set(scenarios)) == (True, {"failed"}), output


@pytest.mark.parametrize("kind", ["aws_s3_bucket_policy", "aws_kms_key"])
def test_a_missing_resource_breaks_the_rule_about_it(
    provisioned: dict[str, Any], tmp_path: Path, kind: str
) -> None:
    code, scenarios, output = compliance(
        json.loads(json.dumps(provisioned).replace(f'"{kind}"', '"aws_other"')), tmp_path
    )
    assert (code != 0, "failed" in scenarios) == (True, True), output
