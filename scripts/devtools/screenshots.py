"""Makes the pictures of docs/images: a real run of drawn pictures on this machine, its report, and a browser.

python -m scripts.devtools.screenshots [FOLDER]
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from scripts.cli.console import err, steps
from scripts.common.paths import ROOT, WORK
from scripts.deployment.outputs import Deployment
from scripts.devtools import browser
from scripts.operations.local_stack import LocalStack
from scripts.report import build
from scripts.report.records import Truths
from scripts.review.queue import Reviews
from scripts.review.server import serving
from scripts.workflow.client import Workflow
from training_scripts.synthetic import generator

TRUTH = {"bicycle": "bicycle", "motorcycle": "motorcycle", "other": "neither"}
# Drawings of the generator's own sorts, from seeds that no training saw.
STREAM = {"bicycle": 90, "motorcycle": 110, "other": 30, "ambiguous": 30}
FIRST_SEED = 50_000
TALL: dict[str, Any] = {"viewport": {"width": 1280, "height": 1500}}
WINDOWS: dict[str, dict[str, Any]] = {
    "light": TALL,
    "dark": TALL | {"color_scheme": "dark"},
    "phone": browser.PHONE,
}


def take(chromium: Browser, report: Path, folder: Path) -> list[Path]:
    """Photograph a report's page on a desktop, light and dark, and on a phone; returns the pictures' paths."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    for name, window in WINDOWS.items():
        page = chromium.new_page(**window)
        page.goto(report.resolve().as_uri())
        if name == "phone":
            page.evaluate("document.getElementById('charts').scrollIntoView()")
        taken.append(folder / f"{report.stem}-{name}.png")
        page.screenshot(path=taken[-1])
    return taken


def take_review(chromium: Browser, deployment: Deployment, path: Path) -> Path:
    """Photograph the page of `scones review` with the biggest doubt on it; nothing is answered."""
    with serving(Reviews(deployment, "ann"), 0) as address:
        page = chromium.new_page(viewport={"width": 1280, "height": 860})
        page.goto(address)
        page.locator("#picture[src^='blob:']").wait_for()
        page.screenshot(path=path)
        page.close()
    return path


def take_outbox(chromium: Browser, stack: LocalStack, path: Path) -> Path:
    """Photograph the page of what subscribers of the one-machine AWS received, on a phone's width."""
    page = chromium.new_page(**browser.PHONE)
    page.goto(f"{stack.server['endpoint_url']}/_local/outbox")
    page.screenshot(path=path)
    return path


def stream(workflow: Workflow, folder: Path) -> Truths:
    """Run drawn pictures through the workflow; returns what each shows, where it shows one thing."""
    truths = {}
    for sort, count in STREAM.items():
        for seed in range(FIRST_SEED, FIRST_SEED + count):
            path = folder / f"{sort}-{seed - FIRST_SEED + 1}.jpg"
            generator.draw(sort, seed).save(path, quality=90)
            truths[str(path)] = TRUTH.get(sort)
    # The end of a name mixes the sorts, as a real stream does.
    mixed = sorted(truths, key=lambda path: Path(path).stem[::-1])
    outcomes = list(workflow.classify_all(mixed))
    return Truths(pictures={(o.uri, ""): truth for o in outcomes if (truth := truths[o.source])})


def main() -> None:
    to = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    browser.find()
    stack = LocalStack(WORK / "screenshots")
    with tempfile.TemporaryDirectory() as scratch, steps() as progress:
        try:
            deployment = stack.bring_up(progress)
            progress("Classifying drawn pictures", None)
            truths = stream(Workflow(deployment), Path(scratch))
            report = Path(scratch) / "report.html"
            build.make([], deployment, [], truths, report, progress, with_ledger=True)
            progress("Photographing the pages", None)
            with browser.chromium() as chromium:
                taken = take(chromium, report, to)
                taken.append(take_review(chromium, deployment, to / "review-light.png"))
                taken.append(take_outbox(chromium, stack, to / "outbox-phone.png"))
        finally:
            stack.stop_server()
    for path in taken:
        err.print(f"written: {path}", markup=False)


if __name__ == "__main__":
    main()
