"""What SageMaker expects of a serving container, checked on our container's own start command.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

import http.client
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from functions.common.labels import labels_hash
from functions.common.picture import encode_png, read_picture
from training_scripts import artifact
from training_scripts.synthetic import generator

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "training_scripts" / "model" / "model.tar.gz"
DOCKERFILE = ROOT / "training_scripts" / "Dockerfile"
START_SECONDS = 60
# https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
SECONDS_BEFORE_SIGKILL = 30


class Server:
    """The serving program as a process of its own, on a port that the system chose."""

    def __init__(self, folder: Path) -> None:
        command = container_command()
        environment = {**os.environ, "SM_MODEL_DIR": str(folder), "SAGEMAKER_BIND_TO_PORT": "0"}
        self.process = subprocess.Popen(
            [sys.executable, *command[1:]],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        ready = self.process.stdout.readline()
        assert ready, self.process.stderr.read()
        self.port = int(ready.rsplit(" ", 1)[1])

    def request(
        self, method: str, path: str, body: bytes | None = None, content_type: str | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": content_type} if content_type else {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def classify(self, picture: bytes, content_type: str = "image/png") -> list[float]:
        status, _, body = self.request("POST", "/invocations", picture, content_type)
        assert status == 200, body
        return json.loads(body)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=SECONDS_BEFORE_SIGKILL)
        self.process.communicate()
        return code


def container_command() -> list[str]:
    """ENTRYPOINT and CMD as Docker would join them."""
    text = DOCKERFILE.read_text()
    parts = [re.search(rf"^{word} (\[.*\])$", text, re.MULTILINE) for word in ("ENTRYPOINT", "CMD")]
    return [word for part in parts for word in json.loads(part.group(1))]


def file_of(label: str, seed: int, kind: str, size: int = 256) -> bytes:
    buffer = io.BytesIO()
    generator.draw(label, seed, size).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("model")
    description, network = artifact.read_archive(SHIPPED)
    artifact.write(folder, description, network)
    return folder, description


@pytest.fixture(scope="module")
def server(model: tuple[Path, dict[str, Any]]) -> Iterator[Server]:
    running = Server(model[0])
    yield running
    running.process.kill()
    running.process.communicate()


def test_the_container_runs_the_program_itself_without_a_shell():
    assert container_command() == ["python", "-m", "training_scripts.serve", "serve"]


def test_the_container_holds_every_module_that_the_program_imports():
    code = "import sys, training_scripts.serve; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    ours = [name for name in loaded.stdout.split() if name.split(".")[0] in ("functions", "training_scripts")]
    needed = {(ROOT / name.replace(".", "/")).with_suffix(".py") for name in ours}
    needed = {path if path.exists() else path.with_suffix("") / "__init__.py" for path in needed}

    copied = {
        ROOT / word
        for line in DOCKERFILE.read_text().splitlines()
        if line.startswith("COPY")
        for word in shlex.split(line)[1:-1]
    }
    assert needed <= copied


def test_it_starts_and_serves_without_any_network(model, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\n"
        "def refuse(*arguments): raise OSError('the network was asked for')\n"
        "known = socket.getaddrinfo\n"
        "def numbers_only(host, *rest, **named):\n"
        "    return known(host, *rest, **named) if host == '0.0.0.0' else refuse()\n"
        "socket.socket.connect = refuse\n"
        "socket.getaddrinfo = numbers_only\n"
    )
    code = "import socket; socket.create_connection(('localhost', 1))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert b"the network was asked for" in said.stderr

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    running = Server(model[0])

    assert running.classify(file_of("bicycle", 1, "PNG"))
    assert running.stop() == 0


def test_it_answers_as_soon_as_it_says_that_it_listens(model):
    running = Server(model[0])

    assert running.request("GET", "/ping")[0] == 200
    assert running.stop() == 0


def test_ping_answers_200_with_an_empty_body(server):
    status, _, body = server.request("GET", "/ping")

    assert (status, body) == (200, b"")


def test_a_picture_gets_one_probability_per_label_as_json(server, model):
    status, headers, body = server.request("POST", "/invocations", file_of("bicycle", 1, "PNG"), "image/png")

    probabilities = json.loads(body)
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert len(probabilities) == len(model[1]["labels"])
    assert all(0 <= p <= 1 for p in probabilities)
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)


def test_the_answer_names_the_model_and_the_labels_it_belongs_to(server, model):
    _, headers, _ = server.request("POST", "/invocations", file_of("bicycle", 1, "PNG"), "image/png")

    expected = f"model={model[1]['name']};labels={labels_hash(model[1]['labels'])}"
    assert headers["X-Amzn-SageMaker-Custom-Attributes"] == expected


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("image/png", "PNG"),
        ("image/jpeg", "JPEG"),
        ("application/x-image", "JPEG"),
        ("application/x-image", "WEBP"),
        ("Image/PNG; charset=binary", "PNG"),
    ],
)
def test_every_promised_content_type_is_served(server, content_type, kind):
    probabilities = server.classify(file_of("motorcycle", 2, kind), content_type)

    assert probabilities.index(max(probabilities)) == 1


@pytest.mark.parametrize("label", ["bicycle", "motorcycle"])
def test_drawn_vehicles_are_recognised_with_confidence(server, model, label):
    number, threshold = model[1]["labels"].index(label), model[1]["threshold"]

    answers = [server.classify(file_of(label, seed, "PNG")) for seed in range(100)]

    assert sum(answer[number] >= threshold for answer in answers) >= 95


@pytest.mark.parametrize("label", ["other", "ambiguous"])
def test_other_and_ambiguous_drawings_stay_below_the_threshold(server, model, label):
    interest = [model[1]["labels"].index(name) for name in model[1]["classes_of_interest"]]

    answers = [server.classify(file_of(label, seed, "PNG")) for seed in range(100)]

    assert sum(max(answer[i] for i in interest) >= model[1]["threshold"] for answer in answers) <= 5


def test_a_large_picture_and_its_small_png_answer_alike(server, model):
    """The small PNG is the one that the workflow makes."""
    large = file_of("bicycle", 3, "JPEG", 1024)
    small = encode_png(read_picture(large, model[1]["input_size"]).image)

    assert server.classify(large, "image/jpeg") == pytest.approx(server.classify(small), abs=1e-6)


def test_a_picture_and_its_mirror_image_get_the_same_answer(server):
    picture = generator.draw("motorcycle", 5, 32)
    answers = [server.classify(encode_png(image)) for image in (picture, picture.transpose(0))]

    assert answers[0] == pytest.approx(answers[1], abs=1e-5)


@pytest.mark.parametrize("content_type", ["text/csv", "application/json", "image/gif", None])
def test_another_content_type_is_refused_by_415(server, content_type):
    status, headers, body = server.request("POST", "/invocations", file_of("bicycle", 1, "PNG"), content_type)

    assert status == 415
    assert "image/png" in json.loads(body)["reason"]
    assert "X-Amzn-SageMaker-Custom-Attributes" not in headers


@pytest.mark.parametrize(
    "body", [b"", b"no picture", file_of("bicycle", 1, "JPEG")[:2000], file_of("bicycle", 1, "GIF")]
)
def test_what_cannot_be_decoded_is_refused_by_400_with_a_reason(server, body):
    status, _, answer = server.request("POST", "/invocations", body, "application/x-image")

    assert status == 400
    assert len(json.loads(answer)["reason"]) > 20


def test_a_body_over_six_megabytes_is_refused_by_413(server):
    status, _, _ = server.request("POST", "/invocations", bytes(6_000_001), "image/png")

    assert status == 413
    assert server.request("GET", "/ping")[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [("GET", "/", 404), ("GET", "/invocations", 405), ("POST", "/ping", 405), ("POST", "/models", 404)],
)
def test_anything_else_is_refused(server, method, path, expected):
    assert server.request(method, path, b"" if method == "POST" else None)[0] == expected


def test_concurrent_requests_each_get_their_own_answer(server):
    pictures = [
        file_of(label, seed, "PNG", 64) for seed in range(10) for label in ("bicycle", "motorcycle", "other")
    ]
    alone = [server.classify(picture) for picture in pictures]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(server.classify, pictures))

    assert together == alone


def test_requests_that_wait_for_a_thread_are_not_logged(model):
    running = Server(model[0])
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(running.classify, [file_of("bicycle", 1, "PNG", 800)] * 32))

    running.process.terminate()

    assert running.process.communicate(timeout=SECONDS_BEFORE_SIGKILL)[1] == ""


def test_sigterm_ends_it_cleanly_before_sagemaker_would_kill_it(model):
    running = Server(model[0])
    running.classify(file_of("bicycle", 1, "PNG"))

    assert running.stop() == 0


def start_and_fail(folder: Path, port: str = "0") -> str:
    environment = {**os.environ, "SM_MODEL_DIR": str(folder), "SAGEMAKER_BIND_TO_PORT": port}
    done = subprocess.run(
        [sys.executable, *container_command()[1:]],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_start_without_a_model_says_what_is_missing(tmp_path):
    assert "model.json is missing" in start_and_fail(tmp_path)


def test_the_model_is_looked_for_where_sagemaker_unpacks_it(monkeypatch):
    monkeypatch.delenv("SM_MODEL_DIR", raising=False)
    code = "from training_scripts import serve; raise SystemExit(serve.main())"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert "/opt/ml/model/model.json is missing" in done.stderr


def test_ping_still_answers_while_every_worker_is_busy(server):
    large = file_of("bicycle", 1, "PNG", 1500)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(server.classify, large) for _ in range(64)]
        assert server.request("GET", "/ping")[0] == 200
        assert not all(answer.done() for answer in answers)
        assert all(len(answer.result()) == 3 for answer in answers)


def test_a_start_with_a_damaged_network_says_so(tmp_path, model):
    artifact.write(tmp_path, model[1], b"no network")

    assert "model.onnx cannot be run" in start_and_fail(tmp_path)


def test_a_start_with_labels_that_the_network_does_not_have_says_so(tmp_path, model):
    network = (model[0] / artifact.NETWORK).read_bytes()
    artifact.write(tmp_path, model[1] | {"labels": [*model[1]["labels"], "fourth"]}, network)

    assert "the labels are" in start_and_fail(tmp_path)


def test_a_start_on_a_port_in_use_says_so(server, model):
    assert f"port {server.port}" in start_and_fail(model[0], str(server.port))
