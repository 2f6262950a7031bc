"""The table of faults: every test that breaks something reports what, what happened and where it ended."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parent.parent.parent.parent / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: written by `make faults` -->", "<!-- end of faults -->"


@pytest.fixture
def tell(record_property: Callable[[str, Any], None]) -> Callable[[str, str, str], None]:
    """tell(what is broken, what happened, where it ended)"""
    return lambda *line: record_property("fault", line)


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int) -> None:
    """`make faults` prints the table and, if everything ended as it must, writes it into the page."""
    if "FAULTS_TABLE" not in os.environ:
        return
    told = [
        line
        for report in terminalreporter.stats.get("passed", [])
        for name, line in report.user_properties
        if name == "fault"
    ]
    lines = [" | ".join(cell.replace("|", "\\|") for cell in line) for line in dict.fromkeys(told)]
    table = "\n".join(
        f"| {line} |"
        for line in ("what is broken | what happened | where it ended", "--- | --- | ---", *lines)
    )
    terminalreporter.write_line(f"\n{table}\n")
    if exitstatus:
        terminalreporter.write_line(
            "Not all ended as they must: the table in docs/reliability.md stays as it was."
        )
        return
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")
    terminalreporter.write_line(f"{len(lines)} lines written into {PAGE.relative_to(Path.cwd())}")
