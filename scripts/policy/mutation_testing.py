"""Shows every weakening to the gates and counts which gate noticed which kind, and what none noticed.

A run is resumable: each outcome is written at once, and counts for as long as plan, rules and features
stay the same. This module runs in the environment of requirements/policy.txt.
"""

import fnmatch
import hashlib
import json
import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scripts.common.paths import ROOT, TERRAFORM
from scripts.deployment.offline import OfflineModule, offline
from scripts.deployment.terraform import TerraformFailed
from scripts.policy import gates as policy_gates
from scripts.policy import inventory, plan_json, reference_plan
from scripts.policy.mutations import REPLACED, SourceWeakening, Weakening, of_plan, of_source
from scripts.policy.plan_json import Plan
from scripts.policy.third_party import FEATURES

Progress = Callable[[str, float], None]

# In the order in which they are asked: the cheapest first, and last the pages that notice any change.
OWN = ("rules", "state machines")
PAGES = ("permissions", "inventory")
ASKED = (*OWN, "parliament", "features", "checkov", *PAGES)
GATES = ("plan", *ASKED, "terraform test", "state")
# What the outcome of a weakening depends on, apart from the plan.
JUDGES = (
    "scripts/policy/*.py",
    "scripts/policy/inventory.py",
    "tests/terraform/inventory.yaml",
    "docs/permissions.md",
)

# Weakenings that no gate notices, with the reason.
EXCEPTIONS = {
    "default: variables.tf:* default *": "production states protect_data itself, so its plan cannot show the default",
    "roll-out: *": "a first apply looks the same; tests/terraform/test_upgrades.py plans the roll-out of a model",
    "validation: modules/*": "terraform test cannot expect a module's failure; tests/terraform does, by its message",
} | {f"*: {place} -> *": why for place, why in inventory.LEFT_OUT.items()}


@dataclass(frozen=True)
class Outcome:
    """A weakening and, by gate, the names of what noticed it (rules, scenarios, checks)."""

    name: str
    kind: str
    caught: dict[str, list[str]] = field(default_factory=dict)

    @property
    def excused(self) -> str | None:
        """The pattern in EXCEPTIONS that excuses it."""
        return next((it for it in EXCEPTIONS if fnmatch.fnmatchcase(self.name, it)), None)


def run(work: Path, only: str, sample: int | None, every_gate: bool, progress: Progress) -> list[Outcome]:
    """The outcomes of all weakenings whose name holds `only`, or of a sample of them. Raises TerraformFailed.

    A weakening is shown to one gate after the other until one notices, or with `every_gate` to all of them.
    """
    work.mkdir(parents=True, exist_ok=True)
    with offline(work) as bare:
        module = reference_plan.packaged(bare)
        progress("Planning", 0)
        plan = plan_json.plan(module)
        path = work / "plan.json"
        path.write_text(json.dumps(plan), encoding="utf-8")
        record = _Record(work / f"outcomes-{'every' if every_gate else 'first'}.jsonl", _fingerprint(path))
        chosen: list[Weakening | SourceWeakening] = [*of_plan(plan), *of_source(TERRAFORM)]
        chosen = [it for it in chosen if only.lower() in str(it).lower()]
        if sample is not None and sample < len(chosen):
            chosen = random.Random(record.fingerprint).sample(chosen, sample)  # noqa: S311 - no secret is drawn
        waiting = [it for it in chosen if str(it) not in record.outcomes]
        for done, outcome in enumerate(_outcomes(module, path, waiting, every_gate), 1):
            record.add(outcome)
            progress(outcome.name, done / len(waiting))
        return [record.outcomes[str(it)] for it in chosen]


def _outcomes(
    module: OfflineModule, path: Path, waiting: list[Weakening | SourceWeakening], every_gate: bool
) -> Iterator[Outcome]:
    """In the plan: by what is quick at once, by the tools in processes side by side; then in the source."""
    plan = json.loads(path.read_text(encoding="utf-8"))
    left = []
    for it in waiting:
        if isinstance(it, Weakening):
            gates = (*OWN, *PAGES) if it.kind in REPLACED else OWN
            caught = {} if every_gate else _judged(gates, it.applied(plan), every_gate)
            if caught:
                yield Outcome(str(it), it.kind, caught)
            else:
                left.append(it)
    with policy_gates.pool() as processes:
        try:
            for future in as_completed([processes.submit(_in_plan, path, it, every_gate) for it in left]):
                yield future.result()
        except BaseException:
            processes.shutdown(wait=False, cancel_futures=True)
            raise
    for it in waiting:
        if isinstance(it, SourceWeakening):
            yield _in_source(module, it)


def _in_plan(path: Path, weakening: Weakening, every_gate: bool) -> Outcome:
    plan = json.loads(path.read_text(encoding="utf-8"))
    gates = [gate for gate in ASKED if (every_gate or gate not in OWN) and _reads(gate, weakening, plan)]
    return Outcome(str(weakening), weakening.kind, _judged(gates, weakening.applied(plan), every_gate))


def _judged(gates: Iterable[str], plan: Plan, every_gate: bool) -> dict[str, list[str]]:
    caught: dict[str, list[str]] = {}
    for gate in gates:
        if findings := policy_gates.judged(gate, plan).findings:
            caught[gate] = sorted({_noticer(gate, finding) for finding in findings})
            if not every_gate:
                break
    return caught


def _noticer(gate: str, finding: str) -> str:
    """The rule, scenario or check that speaks."""
    if gate == "checkov":
        return finding.rpartition("(")[2].rstrip(")")
    return (
        finding.split(": ", maxsplit=1)[0].split(" - row", maxsplit=1)[0]
        if gate in ("rules", "features")
        else gate
    )


def _reads(gate: str, weakening: Weakening, plan: Plan) -> bool:
    """Whether a gate looks at what was weakened at all: asking the others would only cost time."""
    attribute = weakening.path[0] if weakening.path else ""
    if gate == "parliament":
        return attribute in ("policy", "assume_role_policy")
    # The two ask whether values are there, and take seconds.
    if attribute == "definition" or weakening.kind in ("tag", *REPLACED):
        return gate not in ("features", "checkov")
    if gate == "features":
        kind = next(it["type"] for it in plan["resource_changes"] if it["address"] == weakening.address)
        # Of roles' policies, features read who assumes the role and the names of actions.
        named = weakening.kind == "principal" or (weakening.kind == "action" and "*" in str(weakening.value))
        unread = "aws_iam" in kind and not named
        return not unread and any(kind in it.read_text("utf-8") for it in FEATURES.glob("*.feature"))
    return True


def _in_source(module: OfflineModule, weakening: SourceWeakening) -> Outcome:
    weakening.apply(module.folder)
    try:
        return Outcome(str(weakening), weakening.kind, _noticed(module, weakening))
    finally:
        shutil.copy(TERRAFORM / weakening.file, module.folder / weakening.file)


def _noticed(module: OfflineModule, weakening: SourceWeakening) -> dict[str, list[str]]:
    if weakening.kind == "validation":
        failed = _native_tests(module, weakening)
        return {"terraform test": failed} if failed else {}
    if weakening.kind == "state":
        _, _, unsafe = policy_gates.state(module.folder)
        return {"state": unsafe} if unsafe else {}
    if weakening.kind == "roll-out":
        return {}
    try:
        plan = plan_json.plan(module)
        with policy_gates.pool() as processes:
            return processes.submit(_judged, ASKED, plan, every_gate=False).result()
    except TerraformFailed as error:
        return {"plan": [str(error)[-200:]]}


def _native_tests(module: OfflineModule, weakening: SourceWeakening) -> list[str]:
    """Runs only those tests that expect this variable to be refused: a laxer validation fails no other."""
    text = (TERRAFORM / weakening.file).read_text(encoding="utf-8").splitlines()
    variable = next(
        (
            found[1]
            for line in reversed(text[: weakening.line])
            if (found := re.match(r'variable "(\w+)"', line))
        ),
        "",
    )
    folder = module.folder / "tests"
    for path in (TERRAFORM / "tests").glob("*.hcl"):
        head, *runs = re.split(r"(?m)^(?=run \")", path.read_text(encoding="utf-8"))
        wanted = [it for it in runs if re.search(rf"expect_failures = [^\]]*\bvar[.]{variable}\b", it)]
        (folder / path.name).write_text("".join([head, *wanted]), encoding="utf-8")
    try:
        count, _, failed = policy_gates.native_tests(module)
        return failed if count else []
    finally:
        shutil.copytree(TERRAFORM / "tests", folder, dirs_exist_ok=True)


class _Record:
    """Outcomes on disk, one a line, below the fingerprint of what they depend on."""

    def __init__(self, path: Path, fingerprint: str):
        self.path, self.fingerprint = path, fingerprint
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.outcomes: dict[str, Outcome] = {}
        if lines[:1] == [fingerprint]:
            self.outcomes = {it["name"]: Outcome(**it) for it in map(json.loads, lines[1:])}
        else:
            path.write_text(f"{fingerprint}\n", encoding="utf-8")

    def add(self, outcome: Outcome) -> None:
        self.outcomes[outcome.name] = outcome
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(asdict(outcome))}\n")
            file.flush()
            os.fsync(file.fileno())


def _fingerprint(plan: Path) -> str:
    digest = hashlib.sha256(plan.read_bytes())
    files = [path for pattern in JUDGES for path in ROOT.glob(pattern)]
    files += [*FEATURES.glob("*.feature"), *TERRAFORM.glob("tests/*.hcl"), *TERRAFORM.rglob("*.tf")]
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def table(outcomes: list[Outcome]) -> list[list[str]]:
    """Rows of text: a heading, one row for each kind, the sum."""
    gates = [gate for gate in GATES if any(gate in it.caught for it in outcomes)]
    rows = [["kind", "made", *gates, "excused", "noticed by none"]]
    kinds = Counter(it.kind for it in outcomes)
    for kind in [*[name for name, _ in kinds.most_common()], "all"]:
        own = [it for it in outcomes if kind in (it.kind, "all")]
        counts = [sum(gate in it.caught for it in own) for gate in gates]
        counts += [sum(not it.caught and it.excused is not None for it in own), len(unnoticed(own))]
        rows.append([kind, str(len(own)), *[str(count or "") for count in counts]])
    return rows


def unnoticed(outcomes: list[Outcome]) -> list[str]:
    """The weakenings that no gate noticed and no exception excuses."""
    return [it.name for it in outcomes if not it.caught and it.excused is None]


def markdown(outcomes: list[Outcome], about: str) -> str:
    heading, *rows = table(outcomes)
    lines = [about, "", f"| {' | '.join(heading)} |", f"|{'---|' * len(heading)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    excused = Counter(it.excused for it in outcomes if not it.caught and it.excused)
    missed = unnoticed(outcomes)
    lines += ["", f"Noticed by none and excused: {sum(excused.values())}. Noticed by none: {len(missed)}."]
    lines += [f"- {count} `{it}`: {EXCEPTIONS[it]}" for it, count in excused.items()]
    lines += [f"- `{name}`" for name in missed]
    return "\n".join(lines)
