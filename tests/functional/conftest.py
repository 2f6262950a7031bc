"""Drawn pictures to judge models by, models that differ from the shipped one in a known way, and a browser."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from scripts.devtools import browser
from training_scripts import artifact
from training_scripts.synthetic import generator

SHIPPED = Path(__file__).resolve().parents[2] / "training_scripts" / "model" / "model.tar.gz"
expect.set_options(timeout=60_000)  # milliseconds
SORTS = (("bicycle", "bicycle"), ("motorcycle", "motorcycle"), ("other", "house"))


def draw_into(folder: Path, count: int) -> Path:
    for sort, name in SORTS:
        (folder / name).mkdir(parents=True)
        for seed in range(count):
            generator.draw(sort, 5000 + seed, 64).save(folder / name / f"{seed}.png")
    return folder


@pytest.fixture(scope="session")
def folder_of_drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """<class>/<file> without splits: 20 bicycles, 20 motorcycles, 20 houses and the like."""
    return draw_into(tmp_path_factory.mktemp("drawings"), 20)


@pytest.fixture(scope="session")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a test split: 40 bicycles, 40 motorcycles, 40 other things."""
    folder = tmp_path_factory.mktemp("frozen")
    draw_into(folder / "test", 40)
    return folder


@pytest.fixture
def variant(tmp_path: Path) -> Callable[..., Path]:
    """Packs the shipped network with another description, under another name."""

    def pack(name: str, **change: Any) -> Path:
        description, network = artifact.read_archive(SHIPPED)
        artifact.write(tmp_path / name, description | {"name": name} | change, network)
        return artifact.pack(tmp_path / name)

    return pack


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A real browser. Tests are skipped, with the reason, where none is installed.

    While it is open, this thread has a running event loop, so it must be closed before other tests run theirs.
    """
    try:
        with browser.chromium() as launched:
            yield launched
    except browser.BrowserMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    """A tab in a window of a desktop."""
    tab = chromium.new_page(**browser.DESKTOP)
    yield tab
    tab.close()
