"""The outbox as a page: what subscribers would have received, the newest first. It loads nothing and runs nothing."""

from __future__ import annotations

from html import escape
from typing import Any

from scripts.local_aws.core.protocol import Answer

SHOWN = 200
REFRESH_SECONDS = 10
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
}
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{refresh}">
<title>Outbox ({count})</title>
<style>
:root {{ color-scheme: light dark; font: 1rem/1.45 system-ui, sans-serif; }}
body {{ max-width: 46rem; margin: 0 auto; padding: 1rem; }}
article {{ border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); padding: .75rem 0; }}
h1 {{ font-size: 1.3rem; margin: 0; }}
h2 {{ font-size: 1rem; margin: 0; overflow-wrap: anywhere; }}
p {{ margin: 0; opacity: .75; font-size: .85rem; }}
pre {{ margin: .5rem 0 0; font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; }}
</style>
<h1>Outbox</h1>
<p>{summary}</p>
{articles}
</html>
"""
ARTICLE = """<article>
<h2>{subject}</h2>
<p>{number} · {time} · to {subscriber} by {protocol}{attributes}</p>
<pre>{message}</pre>
</article>"""


def page(deliveries: list[dict[str, Any]]) -> Answer:
    """The deliveries (oldest first, as the outbox keeps them) as HTML."""
    numbered = list(enumerate(deliveries, start=1))[-SHOWN:]
    summary = f"{len(deliveries)} messages" + (f", the last {SHOWN}" if len(deliveries) > SHOWN else "")
    articles = "\n".join(_article(number, each) for number, each in reversed(numbered))
    text = PAGE.format(refresh=REFRESH_SECONDS, count=len(deliveries), summary=summary, articles=articles)
    return Answer(text.encode(), 200, HEADERS)


def _article(number: int, delivery: dict[str, Any]) -> str:
    attributes = "".join(f" · {name}: {value}" for name, value in delivery["attributes"].items())
    facts = {**delivery, "number": number, "attributes": attributes, "subject": delivery["subject"] or "-"}
    return ARTICLE.format(**{name: escape(str(value)) for name, value in facts.items()})
