"""The ready-made tools that judge a plan, each through its Python interface: checkov, parliament, terraform-compliance.

Their imports take seconds and their runs half a second. To judge many plans, import this module once and
fork for each plan (terraform-compliance keeps its steps in global variables and can run only once in a
process).
This module runs in the environment of requirements/policy.txt.
"""

import contextlib
import io
import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from functions.common.shown import shown
from scripts.common.paths import ROOT
from scripts.policy.plan_json import Plan, documents

os.environ |= {
    "LOG_LEVEL": "ERROR",
    "PARALLELIZATION_TYPE": "none",
    "CHECKOV_EXPERIMENTAL_CROSS_VARIABLE_EDGES": "false",
}
with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
    warnings.simplefilter("ignore")
    import parliament
    from checkov.runner_filter import RunnerFilter
    from checkov.terraform.plan_runner import Runner
    from terraform_compliance.common.defaults import Defaults
    from terraform_compliance.main import cli as terraform_compliance

Path(Defaults.cache_dir).rmdir()  # made when it was imported; each run gets its own

FEATURES = ROOT / "tests" / "terraform" / "features"

# What checkov asks and this project does otherwise, with the reason.
CHECKOV_SKIPS = {
    "CKV_AWS_18": "access logs of the bucket: every reader is a role of this deployment; CloudTrail data events tell more",
    "CKV_AWS_116": "functions are called by the state machine, which catches; send_alert, the one that events call, has "
    "a failure destination instead of the older dead-letter setting",
    "CKV_AWS_117": "functions reach AWS's public endpoints only and hold no data; a VPC would add cost and no wall",
    "CKV_AWS_144": "replication to another region: pictures come from elsewhere and can be sent again",
    "CKV_AWS_272": "code signing: zips are reproducible and named by hash in the plan, which is reviewed",
}
# What parliament reports and is right here, with the reason.
PARLIAMENT_SKIPS = {
    (
        "UNKNOWN_CONDITION_FOR_ACTION",
        "kms:ResourceAliases",
    ): "documented for every use of a key, newer than its data",
    (
        "UNKNOWN_CONDITION_FOR_ACTION",
        "kms:EncryptionContext",
    ): "documented for the key policy of CloudWatch Logs",
    ("MISMATCHED_TYPE", "ArnLike requires"): "CloudWatch Logs documents ArnLike for its encryption context",
    (
        "RESOURCE_MISMATCH",
        "states:DescribeExecution",
    ): "AWS's own policy for a Distributed Map names executions so",
    ("RESOURCE_STAR", "kms:"): "in a key's own policy * is that key (policy_rules.KEY_STATEMENTS)",
}


def checkov(plan: Plan) -> tuple[int, list[str]]:
    """(checks made, what failed and is not skipped, together with skips that nothing needs)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.json"
        path.write_text(json.dumps(plan), encoding="utf-8")
        with contextlib.redirect_stdout(io.StringIO()):
            report = Runner().run(files=[str(path)], runner_filter=RunnerFilter(framework=["terraform_plan"]))
    failed = {(it.check_id, it.check_name, it.resource) for it in report.failed_checks}
    unneeded = set(CHECKOV_SKIPS) - {check for check, _, _ in failed}
    findings = [f"{at}: {name} ({check})" for check, name, at in sorted(failed) if check not in CHECKOV_SKIPS]
    findings += [
        f"{check} is skipped for nothing: remove it from CHECKOV_SKIPS" for check in sorted(unneeded)
    ]
    return len(report.failed_checks) + len(report.passed_checks), findings


def parliament_findings(plan: Plan) -> tuple[int, list[str]]:
    """(policies read, what is wrong in them): unknown actions, conditions that never hold, malformed statements."""
    count, findings = 0, []
    for address, attribute, document in documents(plan):
        count += 1
        for kind, detail in _analyzed(document):
            if not any(kind == skip and text in detail for skip, text in PARLIAMENT_SKIPS):
                findings.append(f"{address}: {attribute}: {kind} {detail}")
    return count, findings


def _analyzed(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """parliament knows no trust policies, whose statements have no Resource, and no lists with one value in tests."""
    for statement in document["Statement"]:
        trust = "Resource" not in statement
        readable = {"Resource": "*"} | statement
        if "Condition" in statement:
            readable["Condition"] = {
                operator: {key: value[0] if isinstance(value, list) and len(value) == 1 else value}
                for operator, tests in statement["Condition"].items()
                for key, value in tests.items()
            }
        text = json.dumps({"Version": document.get("Version"), "Statement": [readable]})
        try:
            policy = parliament.analyze_policy_string(text)
        except Exception as error:
            yield "UNREADABLE", f"{statement.get('Sid')}: {shown(error)}"
            continue
        for finding in policy.findings:
            if not (trust and finding.issue in ("RESOURCE_STAR", "RESOURCE_MISMATCH")):
                yield finding.issue, f"{statement.get('Sid')}: {finding.detail}"


def compliance(plan: Plan) -> tuple[int, list[str]]:
    """(scenarios run, those that did not pass with what terraform-compliance says); once in a process."""
    with tempfile.TemporaryDirectory() as folder:
        path, result = Path(folder) / "plan.json", Path(folder) / "result.json"
        path.write_text(json.dumps(plan), encoding="utf-8")
        sys.argv = ["terraform-compliance", "-p", str(path), "-f", str(FEATURES), "--no-ansi"]
        sys.argv.append(f"--cucumber-json={result}")
        Defaults.cache_dir = folder  # shared between forks, it would hand one plan's values to the next
        with _output_to(Path(folder) / "output.txt"), contextlib.suppress(SystemExit):
            terraform_compliance()
        said = re.findall("Failure: (.*\\S)", (Path(folder) / "output.txt").read_text(encoding="utf-8"))
        scenarios = [it for feature in json.loads(result.read_text("utf-8")) for it in feature["elements"]]
    failed = [
        it["name"] for it in scenarios if any(step["result"]["status"] != "passed" for step in it["steps"])
    ]
    return len(scenarios), [f"{name}: {' '.join(said)}" for name in failed]


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Sends what this process and its libraries print to a file."""
    saved = os.dup(1)
    sys.stdout.flush()
    with path.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        try:
            yield
        finally:
            sys.stdout.flush()
            os.dup2(saved, 1)
            os.close(saved)
