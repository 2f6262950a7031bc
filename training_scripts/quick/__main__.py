"""Learns from a folder of photographs in a minute: python -m training_scripts.quick --data FOLDER --model-dir FOLDER.

FOLDER holds a folder for each class. Pictures in a folder "neither", and those of classes that are not named, show
what the model should refuse; it refuses most of that without them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from training_scripts import artifact
from training_scripts.data.dataset import DataError
from training_scripts.data.readers import DataSourceError
from training_scripts.quick import photographs
from training_scripts.quick.backbone import BackboneError
from training_scripts.quick.trainer import train
from training_scripts.terminal import Terminal, cleaned


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training_scripts.quick", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="a folder with a folder of pictures for each class"
    )
    parser.add_argument(
        "--classes", default="", help="those to tell apart, with commas; default: every folder"
    )
    parser.add_argument("--model-dir", type=Path, required=True, help="where model.tar.gz goes")
    arguments = parser.parse_args(argv)
    classes = [name.strip() for name in arguments.classes.split(",") if name.strip()]
    console = Terminal(soft_wrap=True)
    try:
        with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task("Looking at the pictures", total=None)
            read = photographs.read(
                arguments.data,
                classes,
                lambda done, total: progress.update(task, completed=done, total=total),
            )
        for line in read.unread:
            console.print(f"left out: {line}")
        description, network = train(read, arguments.data)
        artifact.write(arguments.model_dir, description, network)
        packed = artifact.pack(arguments.model_dir)
    except (DataSourceError, DataError, BackboneError, artifact.ArtifactError, OSError) as error:
        print(cleaned(f"training failed: {error}"), file=sys.stderr)
        return 1
    console.print(verdict(description, len(read.paths)))
    console.print(f"model {description['name']}: {packed}")
    return 0


def verdict(description: dict[str, Any], pictures: int) -> str:
    """How good the model is, in words; every figure is of pictures that its part of the model had not seen."""
    figures = description["metrics"]["cross_validation"]

    def said(name: str) -> str:
        share = figures[name]
        low, high = share["interval"]
        return f"{share['value']:.3f} ({low:.3f} to {high:.3f}, {share['count']} pictures)"

    lines = [
        f"{pictures} pictures of {', '.join(description['classes_of_interest'])}. Of pictures that it has not seen,",
        f"  it names the right class of {said('accuracy')};",
        f"  it is sure of {said('coverage')} at its threshold {description['threshold']}, and right on "
        f"{said('accepted_accuracy')} of these.",
    ]
    if figures["neither_refused"]["count"]:
        lines.append(f"  It refuses {said('neither_refused')} of the foreign ones.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
