"""What a million pictures cost on AWS, and how long they take: `python -m tests.performance.benchmarks.cost_per_million`.

Arithmetic, not a measurement: nothing was run on AWS. Prices are those of `scones cost`, which knows no batches; waits
stand below; sizes and limits are read from the definitions and from terraform/functions.tf. Prints the tables of
docs/reliability.md.
"""

import functools
import json
import math
import os
import re
import subprocess
import sys

from scripts.common.paths import ROOT
from scripts.operations.prices import TRANSITIONS, price

MILLION = 1_000_000
# Of a batch's children, in dollars: https://aws.amazon.com/step-functions/pricing/
EXPRESS_REQUEST, EXPRESS_GB_SECOND = 1 / MILLION, 0.00001667
# CPU milliseconds a picture, measured on the one-machine AWS (two busy cores, Intel Xeon) in batches of 10,000 small
# and 40 JPEGs of 12 megapixels and 4 MB (make bench); the decoder's part alone: decoder_speed.py.
CPU = {"serialize_image_data": (5.2, 54.8), "classify_image": (3.6, 3.6), "filter_inferences": (1.5, 1.5)}
ENDPOINT_CPU = 3.6
# Assumptions about AWS, to be replaced by figures of your own account: milliseconds, megabytes, shares.
S3_FIRST_BYTE, S3_MB_PER_SECOND, ENDPOINT_ROUND_TRIP, CALL, LEDGER = 30.0, 80.0, 8.0, 10.0, 8.0
MEGABYTES = (0.03, 4.0)
REFUSED = 0.10  # needs a second write, to the index `attention`
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html: this much memory (MB) gives one virtual CPU.
MB_PER_CPU = 1769
# https://docs.aws.amazon.com/xray/latest/devguide/xray-console-sampling.html: each second's first request and 5 %.
TRACED = 0.05
ONE_INVOCATION = """
from types import SimpleNamespace
from functions.filter_inferences.handler import lambda_handler
lambda_handler(
    {
        "inferences": [0.98, 0.01, 0.01],
        "model": "bikes",
        "execution": "arn:aws:states:us-east-1:123456789012:execution:scones-prod-batch:20261120-174205-dbf7",
        "s3_bucket": "scones-prod-123456789012-us-east-1",
        "s3_key": "incoming/2026/11/20/van-017.jpg",
        "s3_version_id": "v" * 32,
    },
    SimpleNamespace(aws_request_id="5c6f4b8e-0000-4000-8000-000000000001"),
)
"""
KINDS = ("thumbnails", "12-megapixel photos")


def memory() -> dict[str, int]:
    """MB of each function on a picture's path."""
    text = (ROOT / "terraform" / "functions.tf").read_text(encoding="utf-8")
    found = re.findall(r"\n    (\w+) = \{\n.*?\n +memory_mb += (\d+)", text, re.DOTALL)
    return {name: int(mb) for name, mb in found if name in CPU}


def children() -> tuple[int, int]:
    """Pictures of one child of a batch, and how many of them are in flight."""
    batch = json.loads((ROOT / "statemachine" / "batch.asl.json").read_text(encoding="utf-8"))
    state = batch["States"]["ClassifyPictures"]
    at_once = state["ItemProcessor"]["States"]["EachPicture"]["MaxConcurrency"]
    return state["ItemBatcher"]["MaxItemsPerBatch"], at_once


@functools.cache
def log_bytes() -> int:
    """What the three functions log for a picture: each a line and its metrics, with CloudWatch's own 26 bytes."""
    settings = {
        "LABELS": '["bicycle", "motorcycle", "neither"]',
        "CLASSES_OF_INTEREST": '["bicycle"]',
        "THRESHOLDS": '{"bikes": 0.9}',
        "POWERTOOLS_SERVICE_NAME": "filter_inferences",
        "POWERTOOLS_METRICS_NAMESPACE": "scones-prod",
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }
    done = subprocess.run(
        [sys.executable, "-c", ONE_INVOCATION],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    exact = len(CPU) * sum(len(line.encode()) + 26 for line in done.stdout.splitlines())
    return round(exact, -2)  # a longer name must not change the page


def milliseconds(kind: int) -> dict[str, float]:
    """How long each function runs for a picture: its CPU at its share of a core, and its waits."""
    waits = {
        "serialize_image_data": S3_FIRST_BYTE + MEGABYTES[kind] / S3_MB_PER_SECOND * 1000,
        "classify_image": ENDPOINT_ROUND_TRIP + ENDPOINT_CPU,
        "filter_inferences": 0.0,
    }
    share = {name: min(1.0, mb / MB_PER_CPU) for name, mb in memory().items()}
    return {name: CPU[name][kind] / share[name] + waits[name] for name in CPU}


def latency(kind: int) -> float:
    """Seconds that a picture is in flight."""
    return (sum(milliseconds(kind).values()) + len(CPU) * CALL + LEDGER) / 1000


def shared_costs(kind: int) -> dict[str, float]:
    """Dollars for a million pictures, whichever machine they go through."""
    gb_seconds = sum(ms / 1000 * memory()[name] / 1024 for name, ms in milliseconds(kind).items())
    return {
        "functions, computing": MILLION * gb_seconds * price("lambda_gb_second_arm64"),
        "functions, requests": MILLION * len(CPU) * price("lambda_request"),
        "ledger": MILLION * (1 + REFUSED) * price("ledger_write"),
        "S3": MILLION * price("s3_get"),
        "logs": MILLION * log_bytes() / 1000 * price("log_kb"),
    }


def costs(kind: int, *, as_batch: bool) -> dict[str, float]:
    pictures, at_once = children()
    if as_batch:
        count = MILLION / pictures
        gb_seconds = count * latency(kind) * math.ceil(pictures / at_once) * 64 / 1024
        machine = count * (price("state_transition") + EXPRESS_REQUEST) + gb_seconds * EXPRESS_GB_SECOND
        traces = count
    else:
        machine = MILLION * TRANSITIONS * price("state_transition")
        traces = 86_400 + TRACED * (MILLION - 86_400)
    return {
        "state machine": machine,
        **shared_costs(kind),
        "traces, at most": traces * price("trace"),
    }


def table_of_costs() -> str:
    columns = [costs(kind, as_batch=batch) for batch in (False, True) for kind in (0, 1)]
    lines = [
        "| dollars for a million | one by one: thumbnails | 12 megapixels | batch: thumbnails | 12 megapixels |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {part} | {' | '.join(f'{each[part]:.2f}' for each in columns)} |" for part in columns[0]]
    lines.append(f"| **together** | {' | '.join(f'**{sum(each.values()):.2f}**' for each in columns)} |")
    return "\n".join(lines)


def table_of_times() -> str:
    _, at_once = children()
    lines = [
        "| instances | in flight | thumbnails a second | hours | 12 megapixels a second | hours | CPU of an instance |",
        "|---|---|---|---|---|---|---|",
    ]
    for instances in (1, 2, 6):
        rates = [instances * at_once / latency(kind) for kind in (0, 1)]
        hours = [MILLION / rate / 3600 for rate in rates]
        load = rates[0] / instances * ENDPOINT_CPU / 1000
        cells = [
            f"{rates[0]:.0f}",
            f"{hours[0]:.1f}",
            f"{rates[1]:.0f}",
            f"{hours[1]:.1f}",
            f"{load:.0%} of a core",
        ]
        lines.append(f"| {instances} | {instances * at_once} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table_of_costs())
    print()
    print(table_of_times())
    for number, name in enumerate(KINDS):
        parts = ", ".join(f"{function} {ms:.0f} ms" for function, ms in milliseconds(number).items())
        print(f"\n{name}: {parts}; in flight {latency(number) * 1000:.0f} ms; logs {log_bytes()} bytes")
