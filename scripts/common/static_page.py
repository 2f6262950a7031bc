"""Parts of a page in one HTML file: styles and scripts, hashes for its security policy, data."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any


def read_part(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def csp_hash(text: str) -> str:
    """https://www.w3.org/TR/CSP3/#grammardef-hash-source"""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def inline(data: dict[str, Any]) -> str:
    """JSON that cannot end the script element around it: https://html.spec.whatwg.org/#restrictions-for-contents-of-script-elements"""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
