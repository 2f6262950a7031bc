"""The benchmark itself: it sends pictures through the real chain, and keeps product and emulator apart."""

import pytest

from tests.performance.benchmarks import chain_speed


@pytest.fixture(scope="module")
def bench(stack):
    return chain_speed.Bench(stack)


@pytest.mark.parametrize("way", ["batch", "one_by_one"])
def test_every_picture_that_is_sent_ends_in_the_ledger(bench, way):
    pictures = bench.upload(chain_speed.small_pictures(None)[:6], 6)

    line = bench.measure(way, pictures, getattr(bench, way))

    assert line.pictures == line.ends.total() == 6
    assert line.ends["ACCEPTED"] >= 2


def test_the_kernel_s_accounts_name_every_part_of_the_chain(bench, stack):
    bench.one_by_one(bench.upload(chain_speed.small_pictures(None), 3))

    used = chain_speed.use(stack.server["pid"])

    prefix = stack.deployment().prefix
    functions = {
        f"{prefix}-{name}" for name in ("serialize-image-data", "classify-image", "filter-inferences")
    }
    assert used.keys() >= {chain_speed.EMULATOR, "endpoint", *functions}
    assert all(part.megabytes > 0 for part in used.values())


def test_the_yardstick_runs_on_the_same_pictures(bench):
    """The notebook's functions classify them, too, and are in the table."""
    with bench.notebook() as notebook:
        line = bench.measure("notebook", bench.upload(chain_speed.small_pictures(None)[:6], 6), notebook)

    assert line.ends["SUCCEEDED"] >= 2
    assert line.ends.total() == 6
    functions = {name.replace("_", "-") for name in chain_speed.NOTEBOOK}
    assert {chain_speed.column(part) for part in line.cpu} >= functions
