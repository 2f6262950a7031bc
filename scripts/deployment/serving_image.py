"""Builds the serving image for linux/amd64 and pushes it where the endpoint pulls it from.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/docker-push-ecr-image.html
https://docs.docker.com/reference/cli/docker/buildx/build/
"""

import base64
import hashlib
import json
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from scripts.common.errors import UserError
from scripts.common.paths import ROOT

DOCKERFILE = ROOT / "training_scripts" / "Dockerfile"
PLATFORM = "linux/amd64"
_LAST_LINES = 15


class ImageError(UserError):
    """The image was not built or not pushed; the message says why and what to do."""


def sources() -> list[Path]:
    """The Dockerfile and every file that it copies into the image."""
    lines = [line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if line.startswith("COPY ")]
    return [DOCKERFILE, *sorted(ROOT / word for line in lines for word in shlex.split(line)[1:-1])]


def digest() -> str:
    """Hex SHA-256 over the names and contents of the image's sources."""
    whole = hashlib.sha256()
    for path in sources():
        content = path.read_bytes()
        whole.update(f"{path.relative_to(ROOT).as_posix()} {len(content)}\n".encode() + content)
    return whole.hexdigest()


def build_and_push(repository: str, ecr_client: Any, report: Callable[[str], None]) -> str:
    """Build and push; returns the image by digest, repository@sha256:...

    The same sources are pushed once.

    Args:
        repository: an ECR repository's URI, account.dkr.ecr.region.amazonaws.com/name.
        report: called with each line that Docker prints.

    Raises:
        ImageError: no Docker engine, or Docker failed.
        botocore.exceptions.ClientError: the repository cannot be read, or gives no password.
    """
    registry, _, name = repository.partition("/")
    tag = digest()[:12]
    if there := _pushed(name, tag, ecr_client):
        report(f"{repository}:{tag} was pushed before")
        return f"{repository}@{there}"
    check_engine()
    _log_in(registry, ecr_client)
    with tempfile.TemporaryDirectory() as folder:
        facts = Path(folder) / "metadata.json"
        # SageMaker takes a single image, not an index with an attestation
        command = ["docker", "buildx", "build", "--platform", PLATFORM, "--provenance=false", "--sbom=false"]
        command += ["--file", str(DOCKERFILE), "--tag", f"{repository}:{tag}", "--progress=plain", "--push"]
        _docker([*command, "--metadata-file", str(facts), str(ROOT)], report)
        try:
            return f"{repository}@{json.loads(facts.read_text(encoding='utf-8'))['containerimage.digest']}"
        except (OSError, ValueError, KeyError) as error:
            raise ImageError(
                f"Docker said nothing of the pushed image's digest ({error}): update Docker's buildx"
            ) from error


def check_engine() -> None:
    """Raises ImageError unless a Docker engine answers and can build."""
    for command, advice in (
        (["docker", "version", "--format", "{{.Server.Version}}"], "start Docker or its service"),
        (["docker", "buildx", "version"], "install Docker's buildx plugin"),
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise ImageError(
                "there is no `docker` on PATH: install Docker, or run `scones image` on a machine that has it"
            ) from None
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ImageError(
                f"`{' '.join(command[:2])}` failed ({said}): {advice}, or run `scones image` on a machine that has it"
            )


def _pushed(name: str, tag: str, ecr_client: Any) -> str | None:
    """The digest of the image that has this tag already."""
    try:
        images = ecr_client.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ImageNotFoundException":
            raise
        return None
    return images["imageDetails"][0]["imageDigest"]


def _log_in(registry: str, ecr_client: Any) -> None:
    token = ecr_client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    command = ["docker", "login", "--username", user, "--password-stdin", registry]
    done = subprocess.run(command, input=password, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(f"`docker login {registry}` failed: {done.stderr.strip()}")


def _docker(command: list[str], report: Callable[[str], None]) -> None:
    said = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line.rstrip())
            report(line.rstrip())
    if process.returncode:
        raise ImageError(
            "\n".join(["the image was not built and pushed; Docker's last lines:", *said[-_LAST_LINES:]])
        )
