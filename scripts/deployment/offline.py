"""Terraform without an account: the root module in a folder of its own, with its state in a file.

A plan asks AWS two things: who is calling, and whether a state machine's definition is valid. A
server on this machine answers both, so that a first apply, or one on a saved state, can be planned
anywhere.
"""

import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

from scripts.common import paths
from scripts.deployment import terraform

ACCOUNT = "123456789012"
CALLER = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::{0}:user/nobody</Arn><UserId>NOBODY</UserId><Account>{0}</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""


@dataclass(frozen=True)
class OfflineModule:
    """An initialised copy of a root module, and the variables under which Terraform plans it."""

    folder: Path
    variables: dict[str, str]

    @property
    def state(self) -> Path:
        return self.folder / "terraform.tfstate"

    def run(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> tuple[int, str]:
        """Runs Terraform in it; returns (exit code, output). Raises TerraformFailed."""
        return terraform.run(*arguments, extra_environment=self.variables, module=self.folder, accept=accept)


class _PlanTimeAws(BaseHTTPRequestHandler):
    """Answers what the provider asks while it plans; refuses the rest (400 is not retried)."""

    protocol_version = "HTTP/1.1"
    account = ACCOUNT

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = self.headers.get("X-Amz-Target", "")
        if b"Action=GetCallerIdentity" in body:
            self._answer(200, CALLER.format(self.account).encode())
        elif target == "AWSStepFunctions.ValidateStateMachineDefinition":
            self._answer(200, b'{"result": "OK", "diagnostics": []}')
        else:
            self._answer(400, b'{"__type": "UnknownOperationException"}')

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def plan_time_aws(account: str) -> Iterator[str]:
    """The address of a server that answers a plan's questions for an account."""
    handler = type("PlanTimeAws", (_PlanTimeAws,), {"account": account})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextmanager
def offline(
    work: Path,
    source: Path = paths.TERRAFORM,
    account: str = ACCOUNT,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[OfflineModule]:
    """Copies a root module into `work` and initialises it there; keeps plugins from earlier.

    Its state, if any, is work/terraform/terraform.tfstate. Raises TerraformFailed,
    TerraformMissing, MirrorMissing.
    """
    folder = work / "terraform"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*", "*.tfplan"))
    (folder / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n', encoding="utf-8")
    for name in ("statemachine", "build"):
        link = work / name
        if not link.is_symlink():
            link.symlink_to(paths.ROOT / name)
    with plan_time_aws(account) as endpoint:
        module = OfflineModule(
            folder,
            {
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_ACCESS_KEY_ID": "offline",
                "AWS_SECRET_ACCESS_KEY": "offline",
                "AWS_SESSION_TOKEN": "",
                "AWS_PROFILE": "",
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "TF_DATA_DIR": str(work / "data"),
                **variables,
            },
        )
        module.run("init", "-no-color", "-input=false", "-lockfile=readonly")
        yield module
