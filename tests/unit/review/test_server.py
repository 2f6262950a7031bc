"""Who may talk to the page's server, and what it answers."""

import io
import json
import uuid

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from PIL import Image

from scripts.review import queue
from scripts.review.queue import Reviews
from scripts.review.server import LARGEST_BODY, Application, serving
from training_scripts.synthetic import generator

TOKEN, PORT = "t0ken", 4711
HERE = {"HTTP_HOST": f"127.0.0.1:{PORT}", "HTTP_ORIGIN": f"http://127.0.0.1:{PORT}"}
MAY = HERE | {"HTTP_X_SCONES_TOKEN": TOKEN, "HTTP_X_SCONES_SESSION": str(uuid.uuid4())}


def png(width=48, height=32):
    buffer = io.BytesIO()
    generator.draw("bicycle", 1).resize((width, height)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def waits(deployment, bucket):
    def put(name, body=None):
        version = bucket.put_object(Key=f"incoming/{name}", Body=body or png()).version_id
        row = {"picture": f"s3://{bucket.name}/incoming/{name}", "version": version, "label": "bicycle"}
        row |= {"status": "LOW_CONFIDENCE", "attention": "LOW_CONFIDENCE", "time": "2026-11-20T11:00:00.000Z"}
        item = {name: {"S": text} for name, text in row.items()} | {"run": {"N": "0"}}
        item |= {"confidence": {"N": "0.6"}, "threshold": {"N": "0.9"}}
        deployment.client("dynamodb").put_item(TableName=deployment.ledger_table, Item=item)

    return put


@pytest.fixture
def ask(deployment, monkeypatch):
    monkeypatch.setattr(queue, "FRESH_SECONDS", -1.0)
    application = Application(Reviews(deployment, "ann"), TOKEN, PORT)

    def request(method, path, asked=None, *, headers=MAY, query="", body=None):
        given = json.dumps(asked or {}).encode() if body is None else body
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, **headers}
        environ |= {"CONTENT_LENGTH": str(len(given)), "wsgi.input": io.BytesIO(given)}
        answered = []
        (content,) = application(environ, lambda status, headers: answered.append((status, dict(headers))))
        ((status, told),) = answered
        return int(status.split()[0]), told, content

    return request


def test_the_page_needs_no_token_because_it_holds_nothing(ask, waits):
    waits("secret-name.png")

    status, headers, page = ask("GET", "/", headers=HERE)

    assert status == 200
    assert b"secret-name" not in page
    assert TOKEN.encode() not in page
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


def test_a_picture_is_asked_for_shown_and_answered(ask, waits):
    waits("a.png")
    waits("b.png")

    _, _, content = ask("POST", "/api/next")
    first = json.loads(content)["item"]
    status, headers, picture = ask("GET", "/api/picture", query=f"id={first['id']}")
    _, _, content = ask("POST", "/api/answer", {"id": first["id"], "label": "motorcycle"})
    told = json.loads(content)

    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(picture)).size == (640, 427)  # in its own proportions
    assert told["item"]["id"] != first["id"]
    assert told["progress"] == {"waiting": 1, "answered": 1}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"HTTP_HOST": "evil.example"}, 403),
        ({"HTTP_HOST": "127.0.0.1:80"}, 403),
        ({"HTTP_HOST": ""}, 403),
        ({"HTTP_ORIGIN": "http://evil.example"}, 403),
        ({"HTTP_ORIGIN": "null"}, 403),
        ({"HTTP_ORIGIN": ""}, 403),
        ({"HTTP_X_SCONES_TOKEN": ""}, 403),
        ({"HTTP_X_SCONES_TOKEN": "another"}, 403),
        ({"HTTP_X_SCONES_TOKEN": "\xe4"}, 403),
        ({"HTTP_X_SCONES_SESSION": ""}, 400),
        ({"HTTP_X_SCONES_SESSION": "x" * 36}, 400),
    ],
)
def test_a_request_from_elsewhere_changes_nothing(ask, waits, deployment, change, status):
    waits("a.png")

    answered, _, content = ask("POST", "/api/next", headers=MAY | change)

    assert answered == status
    assert "error" in json.loads(content)
    (item,) = deployment.client("dynamodb").scan(TableName=deployment.ledger_table)["Items"]
    assert "lease_by" not in item


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"not json", 400), (b"[]", 400), (b"[" * 4000, 400), (b" " * (LARGEST_BODY + 1), 413), (b"{}", 404)],
)
def test_a_body_that_is_not_an_answer_is_refused(ask, body, status):
    assert ask("POST", "/api/answer", body=body)[0] == status


def test_a_label_that_no_model_knows_is_refused(ask, waits):
    waits("a.png")
    shown = json.loads(ask("POST", "/api/next")[2])["item"]

    assert ask("POST", "/api/answer", {"id": shown["id"], "label": "fish"})[0] == 400


def test_no_object_but_what_was_shown_can_be_read(ask, waits):
    waits("a.png")

    assert ask("GET", "/api/picture", query="id=s3://anything/else")[0] == 404


def test_what_is_not_a_picture_is_reported_not_sent(ask, waits):
    waits("a.png", b"<svg onload=alert(1)>")
    shown = json.loads(ask("POST", "/api/next")[2])["item"]

    status, headers, content = ask("GET", "/api/picture", query=f"id={shown['id']}")

    assert (status, headers["Content-Type"]) == (404, "application/json")
    assert "upload" in json.loads(content)["error"]


def test_a_deleted_picture_is_reported(ask, waits, bucket):
    waits("a.png")
    bucket.object_versions.delete()
    shown = json.loads(ask("POST", "/api/next")[2])["item"]

    status, _, content = ask("GET", "/api/picture", query=f"id={shown['id']}")
    answered, _, told = ask("POST", "/api/answer", {"id": shown["id"], "label": "bicycle"})

    assert (status, answered) == (502, 502)
    assert "GetObject" in json.loads(content)["error"]
    assert "CopyObject" in json.loads(told)["error"]


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (ClientError({"Error": {"Code": "ExpiredToken", "Message": "It has expired"}}, "Query"), "expired"),
        (NoCredentialsError(), "credentials"),
    ],
)
def test_what_aws_refuses_is_reported_as_such(ask, monkeypatch, error, word):
    def refuse(*_):
        raise error

    monkeypatch.setattr(Reviews, "take", refuse)

    status, headers, content = ask("POST", "/api/next")

    assert (status, headers["Content-Type"]) == (502, "application/json")
    assert json.loads(content)["error"].startswith("AWS did not do this: ")
    assert word in json.loads(content)["error"]


def test_nothing_to_take_back_is_said_so(ask):
    status, _, content = ask("POST", "/api/undo")

    assert status == 409
    assert "Nothing" in json.loads(content)["error"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/next"), ("POST", "/"), ("PUT", "/api/answer"), ("GET", "/x")]
)
def test_there_is_nothing_else_here(ask, method, path):
    assert ask(method, path)[0] == 404


def test_it_listens_on_this_machine_alone(deployment):
    with serving(Reviews(deployment, "ann"), 0) as address:
        assert address.startswith("http://127.0.0.1:")
        assert len(address.partition("#")[2]) >= 43
