"""Judges an artifact on labelled pictures by asking the serving program, as the workflow does.

python -m training_scripts.evaluate MODEL.TAR.GZ ARCHIVE_OR_FOLDER [--split test]
"""

import argparse
import contextlib
import http.client
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training_scripts import artifact, judge, stage
from training_scripts.data import foreign_classes

ROOT = Path(__file__).resolve().parent.parent


class ServingFailed(Exception):
    """The serving program did not start or did not answer with probabilities."""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[int]:
    """Run the serving program on an unpacked artifact; yields its port on this machine.

    Raises:
        ServingFailed: it ended before it was ready; the message holds what it said.
    """
    environment = {**os.environ, "SM_MODEL_DIR": str(folder), "SAGEMAKER_BIND_TO_PORT": "0"}
    command = [sys.executable, "-m", "training_scripts.serve", "serve"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        ready = process.stdout.readline()
        if not ready.startswith("serving"):
            raise ServingFailed(process.communicate()[1].strip())
        yield int(ready.rsplit(" ", 1)[1])
    finally:
        process.terminate()
        process.communicate(timeout=10)


def ask(port: int, pictures: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Probabilities [N, C] for pictures uint8 [S, S, 3], sent one by one as PNG.

    Raises:
        ServingFailed: an answer other than 200.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    answers = []
    for pixels in pictures:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        connection.request("POST", "/invocations", buffer.getvalue(), {"Content-Type": "image/png"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise ServingFailed(f"{response.status}: {body.decode(errors='replace')}")
        answers.append(json.loads(body))
    connection.close()
    return np.array(answers, np.float64)


def evaluate(archive: Path, source: Path, split: str) -> dict[str, Any]:
    """Figures with 95 % intervals at the artifact's own threshold.

    Foreign pictures: of an archive, the classes that training keeps for judging; of a folder, all others.

    Raises:
        ArtifactError, StageError, ServingFailed.
    """
    description, network = artifact.read_archive(archive)
    interest = description["classes_of_interest"]
    pictures = list(stage.read_pictures(source, split))
    foreign = set(foreign_classes(pictures, interest)[1]) if source.is_file() else None
    pictures = [p for p in pictures if p.label in interest or foreign is None or p.label in foreign]
    with tempfile.TemporaryDirectory() as folder:
        artifact.write(Path(folder), description, network)
        with serving(Path(folder)) as port:
            probabilities = ask(port, (p.pixels for p in pictures))
    numbers = {label: number for number, label in enumerate(interest)}
    truth = np.array([numbers.get(p.label, len(interest)) for p in pictures])
    return judge.figures(probabilities, truth, description["threshold"], description["labels"])


def _line(name: str, figure: Any) -> str:
    if not isinstance(figure, dict):
        return f"{name:32}{figure:.4f}"
    if figure["value"] is None:
        return f"{name:32}no pictures"
    low, high = figure["interval"]
    return f"{name:32}{figure['value']:.4f}  ({low:.4f} to {high:.4f}, {figure['count']} pictures)"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("source", type=Path, help="a CIFAR archive, or a folder <class>/<file>")
    parser.add_argument("--split", default="test", choices=("train", "test"))
    arguments = parser.parse_args(argv)
    try:
        figures = evaluate(arguments.artifact, arguments.source, arguments.split)
    except (artifact.ArtifactError, stage.StageError, ServingFailed) as error:
        print(f"evaluation failed: {error}", file=sys.stderr)
        return 1
    per_class = figures.pop("accuracy_per_class")
    for name, figure in [*figures.items(), *((f"accuracy of {label}", f) for label, f in per_class.items())]:
        print(_line(name, figure))
    return 0


if __name__ == "__main__":
    sys.exit(main())
