"""What the resources of a plan or a state cost by AWS's list prices.

Prices with their date, regions and sources are in prices.json. An estimate, not a bill: without the
free tier, taxes, transfers, training jobs and the storage of serving images.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("prices.json")
HOURS_PER_MONTH = 730
FREE_DASHBOARDS = 3  # of up to 50 metrics, for every account and for good

# What one accepted picture uses. Seconds are assumed, not measured on AWS; the rest is counted in
# this repository.
TRANSITIONS = 9
LEDGER_WRITES = 2  # a row of 1 to 2 KB
LOG_KILOBYTES = 5
METRICS = 6  # of functions/, as long as pictures come in
DRIFT_READS = 64_000  # the most that a check reads (functions/report_drift/window.py): 500 MB
DRIFT_METRICS = 17
SECONDS = {"serialize_image_data": 0.25, "classify_image": 0.10, "filter_inferences": 0.01}
ENDPOINT_SECONDS = 0.05


@dataclass(frozen=True)
class Volume:
    """A month's expected load: pictures, and the size of one (MB)."""

    pictures: int = 10_000
    megabytes: float = 3.0


@dataclass(frozen=True)
class Line:
    """One item of a month's costs: its formula in words, and US dollars."""

    item: str
    formula: str
    usd: float


@dataclass(frozen=True)
class Estimate:
    """A month's costs: fixed ones, what the pictures add, and what could not be priced."""

    standing: list[Line]
    pictures: list[Line]
    notes: list[str]
    volume: Volume

    @property
    def usd(self) -> float:
        return sum(line.usd for line in self.standing + self.pictures)

    @property
    def per_picture(self) -> float:
        """US dollars for one picture, with its share of the fixed costs."""
        return self.usd / self.volume.pictures

    @property
    def per_further_picture(self) -> float:
        """US dollars that one more picture adds."""
        return sum(line.usd for line in self.pictures) / self.volume.pictures

    @property
    def lines(self) -> list[Line]:
        return self.standing + self.pictures


@cache
def table() -> dict[str, Any]:
    """prices.json."""
    return json.loads(TABLE.read_text(encoding="utf-8"))


def price(name: str) -> float:
    """US dollars for one unit of prices.json."""
    return table()["prices"][name]["usd"]


def estimate(resources: list[dict[str, Any]], region: str, volume: Volume) -> Estimate:
    """A month's costs of resources, each {"address", "type", "values"} as in Terraform's JSON."""
    by_type: dict[str, list[dict[str, Any]]] = {}
    for resource in resources:
        by_type.setdefault(resource["type"], []).append(resource)
    notes = []
    if by_type and region not in table()["regions"]:
        notes.append(f"prices are those of {table()['regions'][0]}: the table has none for {region}")
    if "aws_s3_bucket" in by_type and "aws_sagemaker_endpoint" not in by_type:
        notes.append(
            "no endpoint: no model is promoted yet, or endpoint.enabled = false; pictures are only kept"
        )
    endpoint, endpoint_notes = _endpoint(by_type)
    checks = _drift_checks(by_type) if volume.pictures else ()  # a check of no pictures reads none
    standing = [*_monthly(by_type), *checks, *endpoint]
    return Estimate(standing, list(_pictures(by_type, volume)), notes + endpoint_notes, volume)


def _values(by_type: dict[str, list[dict[str, Any]]], kind: str) -> list[dict[str, Any]]:
    return [resource["values"] for resource in by_type.get(kind, [])]


def _monthly(by_type: dict[str, list[dict[str, Any]]]) -> Iterator[Line]:
    """What is billed every month, whether it is used or not."""
    for count, item, name in (
        (len(by_type.get("aws_kms_key", [])), "Keys", "key"),
        (sum(map(_watched, _values(by_type, "aws_cloudwatch_metric_alarm"))), "Alarms", "alarm"),
        (len(by_type.get("aws_cloudwatch_composite_alarm", [])), "Composite alarms", "composite_alarm"),
        (len(by_type.get("aws_cloudwatch_dashboard", [])) - FREE_DASHBOARDS, "Dashboards", "dashboard"),
    ):
        if count > 0:
            yield Line(item, f"{count} x ${price(name):.2f}", count * price(name))


def _drift_checks(by_type: dict[str, list[dict[str, Any]]]) -> Iterator[Line]:
    """The scheduled checks, on a ledger so large that each reads as much as it may."""
    for rule in by_type.get("aws_cloudwatch_event_rule", []):
        if 'schedule["drift"]' in rule["address"] and rule["values"]["state"] == "ENABLED":
            hours = int(rule["values"]["schedule_expression"].removeprefix("rate(").split()[0])
            reads, metrics = (
                (DRIFT_READS, "reads", "ledger_read"),
                (DRIFT_METRICS, "metrics", "custom_metric_hour"),
            )
            yield _times("Drift checks", round(HOURS_PER_MONTH / hours), [reads, metrics])


def _watched(alarm: dict[str, Any]) -> int:
    """How many metrics an alarm watches: these are billed, an expression over them is not."""
    return sum(bool(query.get("metric")) for query in alarm.get("metric_query") or []) or 1


def _endpoint(by_type: dict[str, list[dict[str, Any]]]) -> tuple[list[Line], list[str]]:
    """Instances by the hour, at the minimum of scaling.

    A serverless endpoint is billed by picture.
    """
    lines, notes = [], []
    scaling = {
        values["resource_id"].split("/")[1]: values
        for values in _values(by_type, "aws_appautoscaling_target")
    }
    for endpoint, variant in _variants(by_type):
        kind = variant.get("instance_type")
        if not kind:
            continue
        limits = scaling.get(endpoint)
        count = limits["min_capacity"] if limits else variant["initial_instance_count"]
        hourly = table()["instance_hours"]["usd"].get(kind)
        if hourly is None:
            notes.append(f"the endpoint is left out: no price for {kind}; add it to {TABLE.name}")
            continue
        formula = f"{count} x {kind} x {HOURS_PER_MONTH} h x ${hourly:.3f}"
        if limits and limits["max_capacity"] > count:
            most = limits["max_capacity"] * HOURS_PER_MONTH * hourly
            notes.append(f"scaled out to {limits['max_capacity']} instances the endpoint costs ${most:,.2f}")
        lines.append(Line("Endpoint", formula, count * HOURS_PER_MONTH * hourly))
    return lines, notes


def _variants(by_type: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(endpoint's name, variant) of every endpoint; its configuration is in the same module."""
    for endpoint in by_type.get("aws_sagemaker_endpoint", []):
        module = endpoint["address"].partition(".aws_sagemaker_endpoint.")[0]
        for configuration in by_type.get("aws_sagemaker_endpoint_configuration", []):
            if configuration["address"].startswith(f"{module}."):
                for variant in configuration["values"]["production_variants"]:
                    yield endpoint["values"]["name"], variant


def _pictures(by_type: dict[str, list[dict[str, Any]]], volume: Volume) -> Iterator[Line]:
    """What a month's accepted pictures cost. Without an endpoint they are only stored."""
    if not by_type.get("aws_s3_bucket"):
        return
    count = volume.pictures
    gigabytes = count * volume.megabytes / 1000
    yield Line(
        "Pictures kept",
        f"{gigabytes:,.0f} GB x ${price('s3_gb_month')} for each month they stay",
        gigabytes * price("s3_gb_month"),
    )
    yield _times("S3 requests", count, [(1, "PUT", "s3_put"), (1, "GET", "s3_get")])
    variants = [variant for _, variant in _variants(by_type)]
    if not variants:
        return
    yield _times("S3 events", count, [(1, "event", "event")])
    yield _times("State machine", count, [(TRANSITIONS, "transitions", "state_transition")])
    yield _functions(by_type, count)
    yield _times("Ledger", count, [(LEDGER_WRITES, "writes", "ledger_write")])
    yield _times("Traces", count, [(1, "trace", "trace")])
    yield _times("Logs", count, [(LOG_KILOBYTES, "KB", "log_kb")])
    yield Line("Metrics", f"{METRICS} x ${price('custom_metric'):.2f}", METRICS * price("custom_metric"))
    for variant in variants:
        for serverless in variant.get("serverless_config") or []:
            gigabyte_seconds = serverless["memory_size_in_mb"] / 1024 * ENDPOINT_SECONDS
            yield _times("Endpoint", count, [(gigabyte_seconds, "GB-s", "serverless_gb_second")])


def _times(item: str, count: int, parts: list[tuple[float, str, str]]) -> Line:
    """A line of count x (amount unit x price + ...)."""
    inner = " + ".join(f"{amount:g} {unit} x {_in_words(price(name))}" for amount, unit, name in parts)
    usd = count * sum(amount * price(name) for amount, _, name in parts)
    return Line(item, f"{count:,} x {inner if len(parts) == 1 else f'({inner})'}", usd)


def _in_words(usd: float) -> str:
    """A price; one far below a cent is easier to read for a million."""
    return f"${usd * 1e6:g} a million" if usd < 1e-4 else f"${usd:g}"


def _functions(by_type: dict[str, list[dict[str, Any]]], count: int) -> Line:
    """The functions that handle every picture: memory from the plan, seconds assumed."""
    functions = by_type.get("aws_lambda_function", [])
    used = sum(
        function["values"]["memory_size"] / 1024 * seconds
        for function in functions
        for folder, seconds in SECONDS.items()
        if f'"{folder}"' in function["address"]
    )
    architecture = functions[0]["values"]["architectures"][0] if functions else "arm64"
    parts = [(used, "GB-s", f"lambda_gb_second_{architecture}"), (len(SECONDS), "requests", "lambda_request")]
    return _times("Functions", count, parts)
