"""What a report costs: `python tests/performance/benchmarks/report_speed.py [RECORDS]`."""

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))

import captures

from scripts.common.paths import SHIPPED_MODEL
from scripts.devtools import browser
from scripts.report import chart, data_capture, html, records
from training_scripts import artifact

WIDTH = 34


def timed(name: str, work: Callable[[], Any]) -> Any:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    print(
        f"{name:<{WIDTH}} {time.perf_counter() - wall:7.2f} s {time.process_time() - cpu:7.2f} s", flush=True
    )
    return result


def elapsed(name: str, work: Callable[[], Any]) -> None:
    """For what works in another process."""
    wall = time.perf_counter()
    work()
    print(f"{name:<{WIDTH}} {time.perf_counter() - wall:7.2f} s", flush=True)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{count:,} captured records with their pictures ({machine})\n{'':<{WIDTH}} {'wall':>9} {'CPU':>9}")
    with tempfile.TemporaryDirectory() as scratch:
        folder, page = Path(scratch) / "capture", Path(scratch) / "report.html"
        captures.write(folder, captures.stream(count))
        description = artifact.read_archive(SHIPPED_MODEL)[0]
        found = timed("read the captured lines", lambda: list(data_capture.read(str(folder), lambda: None)))
        joined = timed("join", lambda: records.join(found, [], [description], records.Truths()))
        timed("page", lambda: page.write_text(html.render(joined, "t", "m"), encoding="utf-8"))
        timed("picture", lambda: chart.draw(joined, "t", page.with_suffix(".png")))
        timed("table", lambda: records.write_csv(joined, page.with_suffix(".csv")))
        command = [sys.executable, "-m", "scripts.cli.app", "report", str(folder), "--to", str(page)]
        elapsed(
            "scones report, its start included",
            lambda: subprocess.run(command, check=True, capture_output=True),
        )
        print(f"{'the page in bytes':<{WIDTH}} {page.stat().st_size:9,}")
        try:
            with browser.chromium() as chromium:
                tab = chromium.new_page(**browser.DESKTOP)
                elapsed("the browser opens and draws it", lambda: tab.goto(page.as_uri()))
                took = tab.evaluate(
                    "(() => { const began = performance.now();"
                    " document.getElementById('filters').dispatchEvent(new Event('input'));"
                    " return performance.now() - began; })()"
                )
                print(f"{'a filter, all charts drawn anew':<{WIDTH}} {took / 1000:7.2f} s")
        except browser.BrowserMissing as error:
            print(error)


if __name__ == "__main__":
    main()
