"""Fixtures that every test may use: real pictures where they are present, and the one applied stack of a run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.common.progress import silent
from scripts.operations.local_stack import LocalStack
from scripts.workflow.client import Workflow

ROOT = Path(__file__).resolve().parent.parent
# Retries and alerts wait this share of their real time, so that hundreds of failing pictures fit into one run.
WAIT_SCALE = 0.02
SLOW_FOLDERS = {ROOT / "tests" / name for name in ("terraform", "functional", "performance")}


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pictures, which is not part of the repository."""
    folder = Path(os.environ.get("SCONES_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(
            "no real pictures here: set SCONES_TEST_DATA to a folder with cifar-100-python.tar.gz, photos/, awkward/"
        )
    return folder


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The applied stack, shared by the whole run."""
    running = LocalStack(tmp_path_factory.mktemp("stack") / "local")
    running.bring_up(silent, WAIT_SCALE)
    yield running
    running.stop_server()


@pytest.fixture(scope="session")
def workflow(stack: LocalStack) -> Workflow:
    return Workflow(stack.deployment())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what uses the stack, Terraform or a server, and runs last what changes the stack for everybody."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "stack" in fixtures:
            item.add_marker("stack")
        if SLOW_FOLDERS & set(item.path.parents) or {"server", "own_server"} & set(fixtures):
            item.add_marker("slow")
    items.sort(
        key=lambda item: (
            item.get_closest_marker("last") is not None,
            item.get_closest_marker("stack") is not None,
        )
    )
