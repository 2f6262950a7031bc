"""What the serving program adds to the network alone; the milliseconds themselves are in serving_speed.py's table.

Processor time is measured, in short rounds of which the best counts: machines that run tests do other things at
the same time.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from functions.common.picture import encode_png
from training_scripts import artifact
from training_scripts.serve import Model
from training_scripts.synthetic import generator

SHIPPED = Path(__file__).resolve().parents[2] / "training_scripts" / "model" / "model.tar.gz"
ROUNDS, CALLS = 15, 40


@pytest.fixture
def model(tmp_path: Path) -> Model:
    description, network = artifact.read_archive(SHIPPED)
    artifact.write(tmp_path, description, network)
    return Model(tmp_path)


def milliseconds(*calls: Callable[[], object]) -> list[float]:
    """Each call's median processor time in the best of several interleaved rounds."""
    best = [float("inf")] * len(calls)
    for _ in range(ROUNDS):
        for number, call in enumerate(calls):
            times = []
            for _ in range(CALLS):
                started = time.process_time()
                call()
                times.append(time.process_time() - started)
            best[number] = min(best[number], float(np.median(times)) * 1000)
    return best


def test_little_is_spent_outside_the_network(model):
    side = model.description["input_size"]
    picture = encode_png(generator.draw("bicycle", 1, side))
    both = np.random.default_rng(0).normal(size=(2, 3, side, side)).astype(np.float32)

    whole, network = milliseconds(lambda: model.classify(picture), lambda: model.logits(both))

    assert whole < 2 * network
