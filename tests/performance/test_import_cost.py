"""What keeps the handlers' import cheap; the milliseconds themselves are in the table of import_cost.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))
# Powertools itself imports the bare package botocore (0.5 ms) to hook in its user agent; what is heavy are its
# modules, and boto3.
HEAVY = {
    "boto3",
    "botocore.session",
    "botocore.client",
    "s3transfer",
    "urllib3",
    "numpy",
    "pydantic",
    "jsonschema",
}


def imported_by(statement):
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}; import json, sys; print(json.dumps(sorted(sys.modules)))"],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent / "benchmarks")])},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_importing_a_handler_imports_nothing_heavy(function):
    assert imported_by(f"import functions.{function}.handler") & HEAVY == set()


@pytest.mark.parametrize("function", sorted(set(FUNCTIONS) - {"serialize_image_data"}))
def test_only_the_function_that_reads_pictures_imports_pillow(function):
    assert "PIL" not in imported_by(f"import functions.{function}.handler")


def test_the_decoder_imports_only_the_plugin_of_the_format_that_it_meets():
    modules = imported_by("import functions.common.picture")

    assert {name for name in modules if name.startswith("PIL.") and name.endswith("ImagePlugin")} == set()


def test_the_yardstick_pays_for_botocore_at_import():
    assert "botocore.client" in imported_by("import notebook_handler")


def test_the_benchmark_runs():
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "benchmarks" / "import_cost.py"), "1"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert [line.split("  ")[0] for line in done.stdout.splitlines()[2:]] == [
        "bare Python",
        *FUNCTIONS,
        "notebook way",
    ]
