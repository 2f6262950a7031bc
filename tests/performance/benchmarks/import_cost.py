"""What a handler's import costs: `python tests/performance/benchmarks/import_cost.py [RUNS]`.

Starts fresh interpreters by turns (bare, each handler, the notebook's handler), so that a busy machine is
unfair to all alike, and prints the medians of their wall and CPU times in milliseconds over bare Python.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
STATEMENTS = {
    "bare Python": "pass",
    **{
        path.parent.name: f"import functions.{path.parent.name}.handler"
        for path in sorted((ROOT / "functions").glob("*/handler.py"))
    },
    "notebook way": "import notebook_handler",
}


def measure(statement: str) -> tuple[float, float]:
    """Wall and CPU milliseconds of one fresh interpreter."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
        "POWERTOOLS_METRICS_NAMESPACE": "import-cost",
        "POWERTOOLS_SERVICE_NAME": "import-cost",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], env=environment, check=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall * 1000, cpu * 1000


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in STATEMENTS}
    for statement in STATEMENTS.values():  # one round unmeasured: byte code and the disk cache
        measure(statement)
    for _ in range(runs):
        for name, statement in STATEMENTS.items():
            taken[name].append(measure(statement))
    median = {
        name: [statistics.median(column) for column in zip(*times, strict=True)]
        for name, times in taken.items()
    }
    bare_wall, bare_cpu = median["bare Python"]
    print(f"median of {runs} interleaved runs, milliseconds; Python {sys.version.split()[0]}")
    print(f"{'':<22}{'wall':>8}{'over bare':>11}{'CPU':>8}{'over bare':>11}")
    for name, (wall, cpu) in median.items():
        print(f"{name:<22}{wall:>8.0f}{wall - bare_wall:>11.0f}{cpu:>8.0f}{cpu - bare_cpu:>11.0f}")


if __name__ == "__main__":
    main()
