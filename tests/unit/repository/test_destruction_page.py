"""docs/destruction.md has a row for everything in the code that deletes or overwrites, and names tests that exist."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "destruction.md").read_text(encoding="utf-8")
# path | in the code | believes | can be wrong | what stops it | test
ROWS = [
    line.split(" | ") for line in PAGE.partition("## Every path")[2].splitlines() if line.startswith("| ")
][1:]
CODE = {place for row in ROWS for place in re.findall(r"`(.+?)`", row[1])}
TESTS = sorted({test for row in ROWS for test in re.findall(r"`([\w.]+)::(\w+)`", row[5])})
CALLS = re.compile(
    r"delete_(?!markers)\w+|remove_targets|deregister_\w+|detach_\w+|schedule_key_deletion|stop_execution|stop_training_job"
    r"|abort_\w+|rmtree|rmdir|unlink|kill|put_object|copy_object|put_item|update_item|upload_file(obj)?|rename"
)
TERRAFORM = re.compile(
    r"expiration|\bttl\b|aws_ecr_lifecycle_policy|retention_in_days|force_de\w+|prevent_destroy|deletion_protection"
)
STATES = re.compile(r":dynamodb:(delete|update|put)Item")


def destroys(source: str) -> bool:
    """Whether Python code deletes or overwrites something that outlives the call, or has Terraform do so."""
    return any(
        (isinstance(call.func, ast.Attribute) and _destroys(call, call.func.attr)) or _runs_terraform(call)
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
    )


def _destroys(call: ast.Call, name: str) -> bool:
    # Path.replace takes one argument, str.replace two.
    return bool(CALLS.fullmatch(name)) or (name == "replace" and len(call.args) == 1 and not call.keywords)


def _runs_terraform(call: ast.Call) -> bool:
    first = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
    return ast.unparse(call.func).endswith(("terraform", "run")) and first in {"apply", "destroy"}


def written(folders: tuple[str, ...], ending: str) -> list[str]:
    """The code of some folders, the one-machine AWS left out."""
    return [
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in sorted((ROOT / folder).rglob(f"*{ending}"))
        if "local_aws" not in path.parts and ".terraform" not in path.parts
    ]


@pytest.mark.parametrize("path", written(("functions", "scripts", "training_scripts"), ".py"))
def test_everything_that_destroys_has_a_row(path):
    if destroys((ROOT / path).read_text(encoding="utf-8")):
        assert path in CODE, f"{path} deletes or overwrites something: write a row into docs/destruction.md"


@pytest.mark.parametrize(
    ("folder", "ending", "sign"), [("terraform", ".tf", TERRAFORM), ("statemachine", ".json", STATES)]
)
def test_everything_configured_that_destroys_has_a_row(folder, ending, sign):
    found = [path for path in written((folder,), ending) if sign.search((ROOT / path).read_text("utf-8"))]

    assert found
    assert [path for path in found if path not in CODE] == []


def test_every_deleting_target_of_make_has_a_row():
    target, deleting = "", set()
    for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([\w-]+):", line):
            target = found[1]
        elif re.search(r"\brm\b", line):
            deleting.add(target)

    assert deleting == {"clean", "lock"}
    assert all(any(f"`make {target}`" in row[0] for row in ROWS) for target in deleting)


def test_every_row_says_what_stops_it_and_which_test_shows_that():
    assert [row[0] for row in ROWS if len(row) != 6 or "::" not in row[5]] == []


@pytest.mark.parametrize("place", sorted(CODE))
def test_a_row_is_about_code_that_is_there(place):
    assert (ROOT / place).exists()


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_row_names_a_test_that_is_there(file, name):
    wanted = f'run "{name}"' if file.endswith(".hcl") else f"def {name}("

    assert any(wanted in path.read_text("utf-8") for path in ROOT.glob(f"te*/**/{file}"))


@pytest.mark.parametrize(
    "source",
    [
        "s3.delete_objects(Bucket=bucket)",
        "path.unlink()",
        "shutil.rmtree(folder)",
        "partial.replace(path)",
        "stack.terraform('destroy', '-auto-approve')",
        "s3.put_object(Bucket=bucket)",
    ],
)
def test_a_new_destructive_call_is_seen(source):
    assert destroys(source)


@pytest.mark.parametrize("source", ["text.replace('a', 'b')", "replace(row, run=1)", "terraform('plan')"])
def test_what_destroys_nothing_is_not(source):
    assert not destroys(source)


def test_make_clean_leaves_a_running_stack_alone(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    server = tmp_path / ".scones" / "local" / "local_aws.json"
    server.parent.mkdir(parents=True)
    server.write_text("{}")

    refused = subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "make down" in refused.stderr
    assert server.exists()

    server.unlink()
    subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, check=True)
    assert not (tmp_path / ".scones").exists()
