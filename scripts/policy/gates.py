"""The gates of `make policy`: each judges the configuration or its plan, all of them offline.

A gate returns how much it looked at and what it found; no finding means that it is open. This module runs in the
environment of requirements/policy.txt.
"""

import fnmatch
import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

from scripts.common.paths import ROOT, TERRAFORM
from scripts.deployment.offline import OfflineModule, offline
from scripts.deployment.terraform import TerraformFailed
from scripts.policy import inventory, permissions_page, plan_json, reference_plan, rules, third_party
from scripts.policy.plan_json import Plan
from scripts.policy.state_machine_rules import states

BIN = Path(sys.executable).parent
PROCESSES = 2

# Files that consist of hashes, and the model.
HASHES = ("*requirements*.txt", "*.lock.hcl", "*.tar.gz", "requirements/*.txt")
# What looks like a secret and is not: (files, detector) with the reason. Detectors of keys of known form stay on.
NO_SECRETS = {
    ("tests/events/*", "* High Entropy String"): "pictures in base64 and hashes of golden events",
    ("*/test_*.py", "Hex High Entropy String"): "hashes of test pictures",
    ("*.py", "Secret Keyword"): "the credentials of the one-machine AWS, which open nothing",
    ("training_scripts/data/readers.py", "Hex High Entropy String"): "the hash of a published archive",
    (
        "training_scripts/quick/*.py",
        "Hex High Entropy String",
    ): "the hashes of the backbone and of where it is from",
    ("training_scripts/Dockerfile", "Hex High Entropy String"): "the digest of the base image",
    ("terraform/tests/*", "Secret Keyword"): "credentials that open nothing, for a provider that asks nobody",
    ("terraform/state_machines.tf", "Secret Keyword"): "names of KMS keys, whose secrets never leave AWS",
}


@dataclass(frozen=True)
class Verdict:
    """What one gate looked at and found."""

    gate: str
    checked: int
    what: str
    findings: list[str] = field(default_factory=list)
    seconds: float = 0.0


Judge = Callable[[Plan], tuple[int, list[str]]]


def _rules(plan: Plan) -> tuple[int, list[str]]:
    return len(rules.RULES), rules.broken(plan)


def _state_machines(plan: Plan) -> tuple[int, list[str]]:
    count = sum(1 for _, definition in plan_json.definitions(plan) for _ in states(definition))
    return count, rules.broken(plan, (rules.state_machines_are_sound,))


def _permissions(plan: Plan) -> tuple[int, list[str]]:
    return sum(1 for _ in plan_json.statements(plan)), permissions_page.broken(plan)


def _inventory(plan: Plan) -> tuple[int, list[str]]:
    return sum(1 for _ in plan_json.changes(plan)), inventory.broken(plan)


# Gates that read nothing but the plan: these check the mutations of a plan.
PLAN_GATES: dict[str, tuple[Judge, str]] = {
    "rules": (_rules, "own rules"),
    "state machines": (_state_machines, "states"),
    "permissions": (_permissions, "statements"),
    "inventory": (_inventory, "resources"),
    "parliament": (third_party.parliament_findings, "policies"),
    "features": (third_party.compliance, "scenarios"),
    "checkov": (third_party.checkov, "checks"),
}


def judged(gate: str, plan: Plan) -> Verdict:
    """What one of PLAN_GATES says of a plan."""
    judge, what = PLAN_GATES[gate]
    began = time.monotonic()
    checked, findings = judge(plan)
    return Verdict(gate, checked, what, findings, time.monotonic() - began)


def _judged_file(gate: str, path: Path) -> Verdict:
    return judged(gate, json.loads(path.read_text(encoding="utf-8")))


def formatting() -> tuple[int, str, list[str]]:
    done = _run("terraform", "fmt", "-check", "-recursive", str(TERRAFORM))
    return _count("terraform/**/*.tf*"), "files", [f"{path}: run make format" for path in done.stdout.split()]


def validity(module: OfflineModule) -> tuple[int, str, list[str]]:
    _, text = module.run("validate", "-json", accept=(0, 1))
    found = json.loads(text)["diagnostics"]
    return _count("terraform/**/*.tf"), "files", [f"{it['summary']} {it.get('detail', '')}" for it in found]


def native_tests(module: OfflineModule) -> tuple[int, str, list[str]]:
    _, text = module.run("test", "-no-color", accept=(0, 1))
    runs = re.findall(r'^ *run "(\w+)"\.\.\. (\w+)', text, re.MULTILINE)
    failed = [name for name, result in runs if result != "pass"]
    if not runs or (not failed and "Success!" not in text):
        failed.append(text[-2000:])
    return len(runs), "runs", failed


def python_security() -> tuple[int, str, list[str]]:
    """ruff's S rules are bandit's; exceptions are in the code with `noqa` and in pyproject.toml with a reason."""
    done = _run(str(BIN / "ruff"), "check", "--no-cache", "--output-format", "concise", "--quiet", str(ROOT))
    ignored = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"][
        "ignore"
    ]
    findings = [line for line in done.stdout.splitlines() if re.search(r": S\d+ ", line)]
    if done.returncode > 1:
        findings.append(done.stderr)
    return (
        _count("*.py"),
        f"files (without {', '.join(it for it in ignored if it.startswith('S'))})",
        findings,
    )


def secrets() -> tuple[int, str, list[str]]:
    """Files that git tracks, by detect-secrets; nothing is verified over the network."""
    plugins = [{"name": it.__name__} for it in get_mapping_from_secret_type_to_class().values()]
    filters = [
        {"path": f"detect_secrets.filters.{name}"}
        for name in (
            "allowlist.is_line_allowlisted",
            "heuristic.is_indirect_reference",
            "heuristic.is_likely_id_string",
            "heuristic.is_lock_file",
            "heuristic.is_not_alphanumeric_string",
            "heuristic.is_potential_uuid",
            "heuristic.is_prefixed_with_dollar_sign",
            "heuristic.is_sequential_string",
            "heuristic.is_templated_secret",
        )
    ]
    files = [path for path in _tracked() if not any(fnmatch.fnmatch(path, pattern) for pattern in HASHES)]
    unneeded, findings = set(NO_SECRETS), []
    with transient_settings({"plugins_used": plugins, "filters_used": filters}):
        for path in files:
            for found in scan_file(str(ROOT / path)):
                excuse = next((it for it in NO_SECRETS if _excused(path, found.type, it)), None)
                unneeded.discard(excuse or ("", ""))
                if excuse is None:
                    findings.append(f"{path}:{found.line_number}: {found.type}")
    findings += [
        f"{files} {kind}: nothing needs this entry of NO_SECRETS" for files, kind in sorted(unneeded)
    ]
    return len(files), "files", findings


def _excused(path: str, kind: str, excuse: tuple[str, str]) -> bool:
    return fnmatch.fnmatch(path, excuse[0]) and fnmatch.fnmatch(kind, excuse[1])


def state(folder: Path = TERRAFORM) -> tuple[int, str, list[str]]:
    """Terraform's state, which knows everything, is encrypted and locked wherever it is kept."""
    backends = sorted(folder.glob("environments/*.tfbackend"))
    findings = [
        f"{path.name}: {setting} is not true"
        for path in backends
        for setting in ("encrypt", "use_lockfile")
        if not re.search(rf"^{setting} += true$", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    return len(backends), "files", findings


def workflows() -> tuple[int, str, list[str]]:
    """zizmor: actions pinned by hash, permissions as narrow as possible, no injection, cooled-down updates."""
    done = _run(
        *(str(BIN / "zizmor"), "--offline", "--persona", "pedantic"),
        *("--no-progress", "--quiet", "--format", "json", str(ROOT / ".github")),
    )
    try:
        found = json.loads(done.stdout)
    except json.JSONDecodeError:
        return 0, "files", [done.stderr]
    places = [f"{it['ident']}: {it['desc']} ({_place(it)})" for it in found]
    return _count(".github/**/*.yml"), "files", places


def _place(finding: dict[str, Any]) -> str:
    location = next(it for it in finding["locations"] if it["symbolic"]["kind"] == "Primary")
    start = location["concrete"]["location"]["start_point"]
    return (
        f"{location['symbolic']['key']['Local']['verbatim_path'].removeprefix(f'{ROOT}/')}:{start['row'] + 1}"
    )


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _tracked() -> list[str]:
    return _run("git", "-C", str(ROOT), "ls-files").stdout.splitlines()


def _count(pattern: str) -> int:
    return sum(1 for path in _tracked() if fnmatch.fnmatch(path, pattern.replace("**/", "*")))


SOURCE_GATES: dict[str, Callable[[], tuple[int, str, list[str]]]] = {
    "secrets": secrets,
    "bandit's rules": python_security,
    "workflows": workflows,
    "state": state,
    "fmt": formatting,
}
MODULE_GATES: dict[str, Callable[[OfflineModule], tuple[int, str, list[str]]]] = {
    "terraform test": native_tests,
    "validate": validity,
}


def _timed(gate: str, module: OfflineModule | None) -> Verdict:
    began = time.monotonic()
    checked, what, findings = MODULE_GATES[gate](module) if module else SOURCE_GATES[gate]()
    return Verdict(gate, checked, what, findings, time.monotonic() - began)


def pool() -> ProcessPoolExecutor:
    """Processes that begin with everything imported, and are used once."""
    context = get_context("forkserver")
    context.set_forkserver_preload(
        [__name__, "scripts.policy.mutation_testing", "rich.progress", "typer", "rich.console", "rich.table"]
    )
    return ProcessPoolExecutor(PROCESSES, mp_context=context, max_tasks_per_child=1)


def run(work: Path) -> Iterator[Verdict]:
    """Every gate's verdict, in a fixed order, as soon as it and those before it are known."""
    work.mkdir(parents=True, exist_ok=True)
    with pool() as processes, offline(work) as bare:
        module = reference_plan.packaged(bare)
        waiting: list[Future[Verdict]] = [processes.submit(_timed, gate, None) for gate in SOURCE_GATES]
        waiting += [processes.submit(_timed, gate, module) for gate in MODULE_GATES]
        began = time.monotonic()
        try:
            plan = plan_json.plan(module)
        except TerraformFailed as error:
            yield Verdict("plan", 0, "resources", [str(error)], time.monotonic() - began)
        else:
            count = sum(1 for _ in plan_json.changes(plan))
            yield Verdict("plan", count, "resources", [], time.monotonic() - began)
            path = work / "plan.json"
            path.write_text(json.dumps(plan), encoding="utf-8")
            waiting += [processes.submit(_judged_file, gate, path) for gate in PLAN_GATES]
        for verdict in waiting:
            yield verdict.result()
