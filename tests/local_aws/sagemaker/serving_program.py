"""A serving program for the contract tests: it returns what it was sent. Settings are in the model archive."""

import base64
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL = json.loads((Path(os.environ["SM_MODEL_DIR"]) / "model.json").read_text())
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(200, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if MODEL.get("status"):
            return self.answer(MODEL["status"], b"the model says no")
        told = {
            "name": MODEL["name"],
            "body": base64.b64encode(body).decode(),
            "content_type": self.headers["Content-Type"],
            "accept": self.headers["Accept"],
            "attributes": self.headers[ATTRIBUTES],
            "setting": os.environ.get("SETTING"),
            "pid": os.getpid(),
        }
        return self.answer(200, json.dumps(told).encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header(ATTRIBUTES, f"model={MODEL['name']}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


if MODEL.get("refuses_to_start"):
    sys.exit("this model refuses to start")
time.sleep(MODEL.get("startup_seconds", 0))
ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
