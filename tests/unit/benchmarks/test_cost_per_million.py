"""The arithmetic of docs/reliability.md: that the page shows it, and that it keeps to the goal."""

import pytest

from scripts.common.paths import ROOT
from tests.performance.benchmarks import cost_per_million

PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("kind", "dollars"), [(0, 5), (1, 12)], ids=cost_per_million.KINDS)
def test_a_million_pictures_in_batch_cost_no_more_than_the_goal(kind, dollars):
    assert sum(cost_per_million.costs(kind, as_batch=True).values()) <= dollars


def test_the_page_shows_the_tables_that_the_script_prints():
    assert cost_per_million.table_of_costs() in PAGE
    assert cost_per_million.table_of_times() in PAGE


def test_every_function_on_a_pictures_path_is_paid_for():
    assert set(cost_per_million.memory()) == set(cost_per_million.CPU)
