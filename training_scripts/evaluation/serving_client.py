"""Runs the serving program on an artifact and asks it about pictures, as the workflow does."""

import contextlib
import http.client
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training_scripts import artifact
from training_scripts.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


class ServingFailed(UserError):
    """The serving program did not start or did not answer with probabilities."""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[int]:
    """Run the serving program on an unpacked artifact; yields its port on this machine.

    Raises:
        ServingFailed: it ended before it was ready; the message holds its output.
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
    with serving_model(description, network) as port:
        yield port, description


@contextlib.contextmanager
def serving_model(description: dict[str, Any], network: bytes) -> Iterator[int]:
    """Run the serving program on a model as `artifact.read_archive` returns it; yields its port. Raises ServingFailed."""
    with tempfile.TemporaryDirectory() as folder:
        artifact.write(Path(folder), description, network)
        with serving(Path(folder)) as port:
            yield port


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
