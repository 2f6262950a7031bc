"""The serving program: `/ping` and `/invocations` for SageMaker, on one machine and in tests.

Start: python -m training_scripts.serve [serve]. SM_MODEL_DIR names the unpacked artifact (/opt/ml/model),
SAGEMAKER_BIND_TO_PORT the port (8080).
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

import json
import logging
import math
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import waitress
from numpy.typing import NDArray

from functions.common.errors import ImageRejected
from functions.common.labels import labels_hash
from functions.common.picture import read_picture
from functions.common.shown import shown
from training_scripts import artifact

CONTENT_TYPES = frozenset({"image/png", "image/jpeg", "application/x-image"})
# The request limit of a real-time endpoint is 6 MB. Somewhat more is still read, so that its sender gets an
# answer where a connection closed on the way would be a reset.
LARGEST_BODY = 6_000_000
_LARGEST_READ = 64_000_000

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Model:
    """A loaded artifact that answers pictures with probabilities."""

    def __init__(self, folder: Path) -> None:
        """Load and try the artifact.

        Raises:
            ArtifactError: it is missing, damaged, or its network does not fit its description.
        """
        self.description, network = artifact.read_folder(folder)
        mean, std = (np.array(self.description[k]).reshape(3, 1, 1) for k in ("mean", "std"))
        # (value / 255 - mean) / std in one multiplication and one addition
        self._scale, self._offset = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
            side = self.description["input_size"]
            answer = self._probabilities(np.zeros((side, side, 3), np.uint8))
        # ONNX Runtime raises many kinds of its own for a damaged or unfitting network
        except Exception as error:
            raise artifact.ArtifactError(f"{folder}: {artifact.NETWORK} cannot be run ({error})") from error
        if len(answer) != len(self.description["labels"]) or not all(map(math.isfinite, answer)):
            raise artifact.ArtifactError(
                f"{folder}: the network answers {answer}, the labels are {self.description['labels']}"
            )

    def classify(self, data: bytes) -> list[float]:
        """Probabilities in the order of the labels, the mean over the picture and its mirror image.

        Raises:
            ImageRejected: `data` is not an acceptable picture.
        """
        picture = read_picture(data, self.description["input_size"])
        return self._probabilities(np.asarray(picture.image))

    def views(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's input [2, 3, S, S] for pixels [S, S, 3]: normalised, the picture and its mirror image."""
        both = np.empty((2, 3, *pixels.shape[:2]), np.float32)
        np.multiply(pixels.transpose(2, 0, 1), self._scale, out=both[0])
        both[0] += self._offset
        both[1] = both[0, :, :, ::-1]
        return both

    def logits(self, both: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's answers [2, C] to both views."""
        return self._session.run(["logits"], {"pixels": both})[0]

    def _probabilities(self, pixels: NDArray[np.uint8]) -> list[float]:
        logits = self.logits(self.views(pixels)).astype(np.float64).mean(0)
        scaled = logits / self.description["temperature"]
        powers = np.exp(scaled - scaled.max())
        return [round(float(p), 6) for p in powers / powers.sum()]


class Application:
    """The WSGI application around a model."""

    def __init__(self, model: Model) -> None:
        self._model = model
        labels = labels_hash(model.description["labels"])
        self._attributes = f"model={model.description['name']};labels={labels}"

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        status, body = self._answer(environ)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        if status.startswith("200"):
            headers.append(("X-Amzn-SageMaker-Custom-Attributes", self._attributes))
        start_response(status, headers)
        return [body]

    def _answer(self, environ: dict[str, Any]) -> tuple[str, bytes]:
        match environ["REQUEST_METHOD"], environ["PATH_INFO"]:
            case "GET", "/ping":
                return "200 OK", b""
            case "POST", "/invocations":
                return self._invocation(environ)
            case _, "/ping" | "/invocations":
                return "405 Method Not Allowed", _reason("GET /ping and POST /invocations are served")
        return "404 Not Found", _reason("/ping and /invocations are served")

    def _invocation(self, environ: dict[str, Any]) -> tuple[str, bytes]:
        kind = environ.get("CONTENT_TYPE", "").split(";")[0].strip().lower()
        if kind not in CONTENT_TYPES:
            accepted = ", ".join(sorted(CONTENT_TYPES))
            return "415 Unsupported Media Type", _reason(
                f"content type {shown(kind)}; send one of {accepted}"
            )
        if int(environ.get("CONTENT_LENGTH") or 0) > LARGEST_BODY:
            return "413 Content Too Large", _reason(f"more than {LARGEST_BODY} bytes; send a smaller copy")
        try:
            probabilities = self._model.classify(environ["wsgi.input"].read())
        except ImageRejected as error:
            return "400 Bad Request", _reason(error.reason)
        return "200 OK", json.dumps(probabilities).encode()


def _reason(text: str) -> bytes:
    return json.dumps({"reason": text}).encode()


def _stop(*_: Any) -> None:
    raise SystemExit(0)


def main() -> int:
    folder = Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
    port = os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    # A batch keeps more requests in flight than there are threads: each that waits would be a line in the log.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    try:
        model = Model(folder)
        server = waitress.create_server(
            Application(model),
            host="0.0.0.0",  # noqa: S104 - a container must answer from outside itself
            port=int(port),
            threads=4,
            ident=None,
            max_request_body_size=_LARGEST_READ,
        )
    except (artifact.ArtifactError, OSError, ValueError) as error:
        print(f"serving cannot start on port {port}: {error}", file=sys.stderr)
        return 1
    print(f"serving {model.description['name']} on port {server.effective_port}", flush=True)
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
