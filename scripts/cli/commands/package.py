"""scones package: builds the functions' zips."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from scripts.cli.console import errors_explained, out, steps
from scripts.deployment import packages


class Target(StrEnum):
    aws = "aws"
    local = "local"


def package(
    target: Annotated[
        Target, typer.Option(help="aws: Python 3.13 on arm64. local: this machine's own.")
    ] = Target.aws,
) -> None:
    """Build the functions' zips, the same bytes from the same sources.

    `terraform plan` needs those of the target aws; `scones up` builds the local ones itself.
    """
    with errors_explained():
        with steps() as progress:
            manifest = packages.build(target.value, lambda text: progress(text, None))
        for name, facts in json.loads(manifest.read_text(encoding="utf-8"))["functions"].items():
            out.print(f"{name:<22} {facts['bytes'] / 1e6:6.2f} MB  sha256 {facts['sha256'][:12]}")
