"""An alert's subject and text, made from the category's template for the screen of a phone.

A template's first line is the subject. Fields are strict: an unknown name in a template is an error.
"""

import functools
import string
import unicodedata
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from functions.send_alert.occurrence import Alarm, Occurrence
from functions.send_alert.waiting import Waiting

# SNS: ASCII, no line break, under 100 characters: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
MAX_SUBJECT = 99
MAX_TEXT = 999
MAX_REASON = 300
MAX_NAME = 80
MAX_LINK = 300
MAX_OBJECT_LINK = 240

CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


class Message(NamedTuple):
    subject: str
    text: str


def compose(occurrence: Occurrence, topic_arn: str, environment: str, runbook_url: str) -> Message:
    """The message about `occurrence`; the topic's ARN gives partition and region for the console's links."""
    fields = {
        "environment": environment,
        "error": _printable(occurrence.error, 60) or "UnknownError",
        "verdict": _batch_verdict(occurrence) if occurrence.category == "batch" else _verdict(occurrence),
        **_alarm_fields(occurrence.alarm or Alarm(), environment),
        "links": _links(occurrence, topic_arn, runbook_url),
        "batch": _printable(occurrence.batch, 60) or "without a name",
        "headline": _headline(occurrence),
        "outcomes": _outcomes(occurrence),
        "hours": str(occurrence.hours),
        "longest": _longest(occurrence),
    }
    subject, text = _template(_template_name(occurrence))
    name = _printable(occurrence.key, 1024).rsplit("/", 1)[-1] or "an unnamed picture"
    reason = _breach(occurrence.alarm) or occurrence.reason
    return Message(_subject(subject, fields, name), _text(text, fields, name, reason))


def _template_name(occurrence: Occurrence) -> str:
    if occurrence.alarm is None:
        return occurrence.category
    return "alarm_over" if occurrence.alarm.state == "OK" else "alarm"


@functools.cache
def _template(category: str) -> tuple[string.Template, string.Template]:
    subject, _, text = (
        (Path(__file__).parent / "templates" / f"{category}.txt").read_text("utf-8").partition("\n")
    )
    return string.Template(subject), string.Template(text)


def _subject(template: string.Template, fields: dict[str, str], name: str) -> str:
    room = MAX_SUBJECT - len(_ascii(template.substitute(fields, name="")))
    return _ascii(template.substitute(fields, name=_end_of(_ascii(name), room)))[:MAX_SUBJECT]


def _text(template: string.Template, fields: dict[str, str], name: str, reason: str) -> str:
    fields = fields | {"name": _end_of(name, MAX_NAME)}
    room = max(80, MAX_TEXT - len(template.substitute(fields, reason="")))
    reason = _printable(reason, min(room, MAX_REASON)) or "no reason was given."
    return template.substitute(fields, reason=reason)[:MAX_TEXT]


def _verdict(occurrence: Occurrence) -> str:
    """Such as "motorcycle 0.61 < 0.93"; rounded down, so that it never reads "0.93 < 0.93"."""
    if not occurrence.label or occurrence.confidence is None or occurrence.threshold is None:
        return "the model is not sure"
    label = _printable(occurrence.label, 30)
    confidence = f"{occurrence.confidence:.12f}"[:4]
    if occurrence.confidence < occurrence.threshold:
        return f"{label} {confidence} < {occurrence.threshold:g}"
    return f"{label} {confidence}, not looked for"


def _alarm_fields(alarm: Alarm, environment: str) -> dict[str, str]:
    name = _printable(alarm.name.removeprefix(f"{environment}-").replace("-", " "), 60)
    return {
        "alarm": name or "without a name",
        "measured": f" - {measured}" if (measured := _measured(alarm)) else "",
        "what": _printable(alarm.what, MAX_REASON),
        "advice": _printable(alarm.advice, MAX_REASON) or "look at the alarm's metric around that time.",
    }


def _measured(alarm: Alarm) -> str:
    """Such as "7 pictures failed in 5 minutes"; empty where data were missing, or the alarm knows no unit."""
    if alarm.value is None or not alarm.label:
        return ""
    return f"{_number(alarm.value)} {_printable(alarm.label, 60)}"


def _breach(alarm: Alarm | None) -> str:
    """CloudWatch's reason in plain words, where it is about a value."""
    if alarm is None or alarm.limit is None or not (measured := _measured(alarm)):
        return ""
    return f"{measured}; the alarm's limit is {_number(alarm.limit)}."


def _number(value: float) -> str:
    """With one digit after the point, if any."""
    return f"{value:,.1f}".removesuffix(".0")


def _batch_verdict(occurrence: Occurrence) -> str:
    return f"FAILED ({_printable(occurrence.error, 60)})" if occurrence.error else "finished"


def _headline(occurrence: Occurrence) -> str:
    if occurrence.waiting:
        total = occurrence.waiting.total
        return f"{total} {'picture waits' if total == 1 else 'pictures wait'}, {occurrence.waiting.new} new"
    if occurrence.summary is None:
        return f"{occurrence.pictures or 'no'} pictures"
    return f"{occurrence.summary.accepted} of {occurrence.summary.pictures} accepted"


def _outcomes(occurrence: Occurrence) -> str:
    """One line for each kind of outcome that occurred, with what to do about it."""
    if occurrence.waiting:
        return _waiting(occurrence.waiting)
    rest = f'run "scones batch {_printable(occurrence.manifest, MAX_LINK)}"'
    summary = occurrence.summary
    if summary is None:
        return f"\nPictures that it did not come to are undecided: {rest}" if occurrence.manifest else ""
    named = ", ".join(f"{_printable(error, 40)} {count}" for error, count in summary.errors.most_common(3))
    lines = {
        "accepted": (summary.accepted, ""),
        "low confidence": (summary.low_confidence, ": look at them and sort them by hand"),
        "rejected": (summary.rejected, ": no acceptable pictures, ask for good copies"),
        "failed": (summary.failed, f' ({named}): repair the cause, then run "scones rerun --status FAILED"'),
        "undecided": (summary.undecided, f": {rest}"),
        "decided before": (summary.decided_before, ": nothing changed"),
    }
    return "".join(f"\n{count} {kind}{advice}" for kind, (count, advice) in lines.items() if count)


def _waiting(waiting: Waiting) -> str:
    """One line for each status of what waits, with the labels or errors behind it and what to do."""
    advice = {
        "LOW_CONFIDENCE": ("low confidence", 'run "scones review"'),
        "REJECTED": ("rejected", "ask for good copies"),
        "FAILED": ("failed", 'repair the cause, then run "scones rerun --status FAILED"'),
    }
    lines = []
    for status, (kind, action) in advice.items():
        counts = waiting.counts[status]
        named = ", ".join(f"{_printable(name, 30)} {count}" for name, count in counts.most_common(3))
        rest = len(counts) - 3
        more = f", {rest} more kinds" if rest > 0 else ""
        lines += [f"\n{counts.total()} {kind} ({named}{more}): {action}"] if counts else []
    return "".join(lines)


def _longest(occurrence: Occurrence) -> str:
    """Which picture has waited longest, and those that the model doubts most."""
    if occurrence.waiting is None or occurrence.waiting.oldest is None:
        return ""
    oldest = occurrence.waiting.oldest
    lines = [f"Waiting longest: {_short(oldest.uri)}, since {_printable(oldest.time, 40)}"]
    lines += [
        f"Most doubtful: {_printable(doubt.label, 30)} {f'{doubt.confidence:.12f}'[:4]} - {_short(doubt.uri)}"
        for doubt in occurrence.waiting.doubts
    ]
    return "\n".join(lines)


def _short(uri: str) -> str:
    return _end_of(_printable(uri, 1100).rsplit("/", 1)[-1], 50)


def _links(occurrence: Occurrence, topic_arn: str, runbook_url: str) -> str:
    _, partition, _, region, *_ = topic_arn.split(":")
    console = f"https://{region}.{CONSOLES.get(partition, CONSOLES['aws'])}"
    links = {
        "Picture": _object_link(console, region, occurrence),
        "Execution": occurrence.execution
        and f"{console}/states/home?region={region}#/v2/executions/details/{quote(occurrence.execution, ':/')}",
        "Alarm": occurrence.alarm
        and f"{console}/cloudwatch/home?region={region}#alarmsV2:alarm/{quote(occurrence.alarm.name, safe='')}",
        "Help": (occurrence.alarm and occurrence.alarm.help) or f"{runbook_url}#{occurrence.category}",
        "Time": _printable(occurrence.time, 40),
    }
    return "\n".join(f"{name}: {link}" for name, link in links.items() if link and len(link) <= MAX_LINK)


def _object_link(console: str, region: str, occurrence: Occurrence) -> str:
    """The object's console page; the bucket's for a key that would fill the screen."""
    if not occurrence.bucket or not occurrence.key:
        return ""
    bucket = quote(occurrence.bucket, safe="")
    link = f"{console}/s3/object/{bucket}?region={region}&prefix={quote(occurrence.key)}"
    if occurrence.version not in ("", "null", "unknown"):
        link += f"&versionId={quote(occurrence.version, safe='')}"
    return link if len(link) <= MAX_OBJECT_LINK else f"{console}/s3/buckets/{bucket}?region={region}"


def _printable(text: str, limit: int) -> str:
    """One line without control characters, line breaks or direction marks, cut to `limit` characters."""
    line = " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def _end_of(name: str, limit: int) -> str:
    """A long name's end says more than its beginning: number and extension."""
    return name if len(name) <= limit else f"...{name[len(name) - limit + 3 :]}"


def _ascii(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c if " " <= c <= "~" else "?" for c in decomposed if not unicodedata.combining(c))
