"""What one answer of the serving program costs, step by step: `python tests/performance/benchmarks/serving_speed.py [MODEL]`.

The steps inside the server in CPU milliseconds of one core; then POST /invocations over HTTP on this machine, in
milliseconds that a client waits, one client at a time and four at once. Rounds alternate between the steps and
the best round's median counts: what else runs on the machine only ever adds.
"""

import http.client
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from functions.common.picture import encode_png, read_picture
from training_scripts import artifact
from training_scripts.evaluation.serving_client import serving_archive
from training_scripts.serve import Model
from training_scripts.synthetic import generator

SHIPPED = Path(__file__).resolve().parents[3] / "training_scripts" / "model" / "model.tar.gz"
ROUNDS, CALLS = 20, 50


def cpu_milliseconds(steps: dict[str, Callable[[], object]]) -> dict[str, float]:
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(ROUNDS):
        for name, step in steps.items():
            times = []
            for _ in range(CALLS):
                started = time.process_time()
                step()
                times.append(time.process_time() - started)
            best[name] = min(best[name], float(np.median(times)) * 1000)
    return best


def waited(port: int, picture: bytes, calls: int) -> list[float]:
    """Milliseconds that each request on one connection took."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        connection.request("POST", "/invocations", picture, {"Content-Type": "image/png"})
        connection.getresponse().read()
        times.append((time.perf_counter() - started) * 1000)
    connection.close()
    return times


def requests(port: int, picture: bytes, clients: int) -> tuple[float, float, float]:
    """(p50, p99, requests per second) of the round with the best p50."""
    best = (float("inf"), 0.0, 0.0)
    with ThreadPoolExecutor(clients) as pool:
        for _ in range(ROUNDS // 2):
            started = time.perf_counter()
            times = [
                t for part in pool.map(lambda _: waited(port, picture, CALLS), range(clients)) for t in part
            ]
            rate = len(times) / (time.perf_counter() - started)
            best = min(best, (float(np.percentile(times, 50)), float(np.percentile(times, 99)), rate))
    return best


def main() -> None:
    archive = Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED
    description, network = artifact.read_archive(archive)
    with tempfile.TemporaryDirectory() as folder:
        artifact.write(Path(folder), description, network)
        model = Model(Path(folder))
    picture = encode_png(generator.draw("bicycle", 1, description["input_size"]))
    pixels = np.asarray(read_picture(picture, description["input_size"]).image)
    both = model.views(pixels)
    steps = {
        "decode the PNG": lambda: read_picture(picture, description["input_size"]),
        "normalise, mirror": lambda: model.views(pixels),
        "network, one view": lambda: model.logits(both[:1]),
        "network, both views": lambda: model.logits(both),
        "PNG to probabilities": lambda: model.classify(picture),
    }
    print(
        f"{description['name']}, {len(network) / 1e6:.1f} MB, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    for name, figure in cpu_milliseconds(steps).items():
        print(f"{name:<34}{figure:8.3f} ms of one core")
    with serving_archive(archive) as (port, _):
        for clients in (1, 4):
            p50, p99, rate = requests(port, picture, clients)
            print(f"HTTP, {clients} at once{'':<19}{p50:8.2f} ms p50 {p99:8.2f} ms p99 {rate:7.0f} a second")


if __name__ == "__main__":
    main()
