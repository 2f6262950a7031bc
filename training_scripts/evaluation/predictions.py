"""Asks the serving program about labelled pictures, as the workflow does, and tells right answers from wrong ones."""

import contextlib
import http.client
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training_scripts import artifact
from training_scripts.evaluation import calibration

ROOT = Path(__file__).resolve().parents[2]
# The class number of a picture that shows no class of interest.
FOREIGN = -1


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


@contextlib.contextmanager
def serving_archive(archive: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Run the serving program on a packed artifact; yields its port and the artifact's description.

    Raises:
        ArtifactError: no usable artifact.
        ServingFailed: it cannot be served.
    """
    description, network = artifact.read_archive(archive)
    with tempfile.TemporaryDirectory() as folder:
        artifact.write(Path(folder), description, network)
        with serving(Path(folder)) as port:
            yield port, description


def ask(
    port: int, pictures: Iterable[NDArray[np.uint8]], on_answer: Callable[[], None] = lambda: None
) -> NDArray[np.float64]:
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
        on_answer()
    connection.close()
    return np.array(answers, np.float64)


@dataclass(frozen=True)
class Answers:
    """A model's probabilities [N, C] for pictures of known truth [N], its labels' number or FOREIGN."""

    description: dict[str, Any]
    probabilities: NDArray[np.float64]
    truth: NDArray[np.int64]

    @cached_property
    def best(self) -> NDArray[np.int64]:
        return self.probabilities.argmax(1)

    @cached_property
    def ours(self) -> NDArray[np.bool_]:
        """The pictures that show a class of interest."""
        return self.truth != FOREIGN

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """The best class's probability where it is of interest, else 0: never accepted."""
        labels = self.description["labels"]
        interest = [labels.index(name) for name in self.description["classes_of_interest"]]
        return np.where(np.isin(self.best, interest), self.probabilities.max(1), 0.0)

    @cached_property
    def accepted(self) -> NDArray[np.bool_]:
        """What filter_inferences accepts at the artifact's own threshold."""
        return self.confidence >= self.description["threshold"]

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """The best class is the true one; of a foreign picture: it is refused."""
        return np.where(self.ours, self.best == self.truth, ~self.accepted)

    def shares(self) -> dict[str, calibration.Share]:
        """Accuracy, coverage and accuracy of the accepted, on the pictures of the classes of interest."""
        ours = self.ours
        return {
            "accuracy": calibration.share(self.right[ours]),
            "coverage": calibration.share(self.accepted[ours]),
            "accepted_accuracy": calibration.share(self.right[ours & self.accepted]),
        }


def truth_of(labels: Iterable[str], description: dict[str, Any]) -> NDArray[np.int64]:
    """Class numbers in the order of the artifact's labels; FOREIGN for every class that is not of interest."""
    known, interest = description["labels"], description["classes_of_interest"]
    return np.array([known.index(label) if label in interest else FOREIGN for label in labels], np.int64)
