"""`scones image` with a Docker of our own on PATH: what it is asked, and what is said when it is missing or fails."""

import json
import sys
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from scripts.cli.app import app
from scripts.deployment import serving_image
from scripts.deployment.serving_image import ImageError

REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/scones-dev-serving"
DIGEST = "sha256:" + "ab" * 32
# Notes its arguments and its input, and answers as Docker does.
FAKE = f"""#!{sys.executable}
import json, os, sys
folder = os.path.dirname(os.path.abspath(__file__))
words = sys.argv[1:]
given = sys.stdin.read() if "--password-stdin" in words else None
with open(os.path.join(folder, "calls.jsonl"), "a") as file:
    print(json.dumps({{"words": words, "given": given}}), file=file)
if words[0] == os.environ.get("FAILS") or words[:2] == os.environ.get("FAILS", "").split():
    print("Cannot connect to the Docker daemon. Is the docker daemon running?", file=sys.stderr)
    sys.exit(1)
if words[:2] == ["buildx", "build"]:
    print("#1 building")
    with open(words[words.index("--metadata-file") + 1], "w") as file:
        json.dump({{"containerimage.digest": "{DIGEST}"}}, file)
"""


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A fake docker, alone on PATH; gives back what it was called with."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))

    def calls() -> list[dict]:
        notes = program.parent / "calls.jsonl"
        return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []

    return calls


@pytest.fixture
def ecr():
    with mock_aws():
        client = boto3.client("ecr", region_name="us-east-1")
        client.create_repository(repositoryName="scones-dev-serving")
        yield client


def test_the_image_is_built_pushed_and_named_by_digest(docker, ecr):
    """It is built for the endpoint's platform."""
    lines: list[str] = []

    pushed = serving_image.build_and_push(REPOSITORY, ecr, lines.append)

    assert pushed == f"{REPOSITORY}@{DIGEST}"
    words = docker()[-1]["words"]
    assert words[:2] == ["buildx", "build"]
    assert words[words.index("--platform") + 1] == "linux/amd64"
    assert words[words.index("--tag") + 1] == f"{REPOSITORY}:{serving_image.digest()[:12]}"
    assert {"--push", "--provenance=false"} <= set(words)
    assert Path(words[words.index("--file") + 1]) == serving_image.DOCKERFILE
    assert Path(words[-1]) == serving_image.ROOT
    assert "#1 building" in lines


def test_the_password_goes_to_docker_by_its_input_never_by_its_arguments(docker, ecr):
    serving_image.build_and_push(REPOSITORY, ecr, lambda _: None)

    (login,) = [call for call in docker() if call["words"][0] == "login"]
    assert login["words"] == ["login", "--username", "AWS", "--password-stdin", REPOSITORY.partition("/")[0]]
    assert login["given"]
    assert login["given"] not in login["words"]


def test_an_image_of_the_same_sources_is_not_built_twice(docker, ecr):
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"digest": "sha256:1"},
            "layers": [],
        }
    )
    put = ecr.put_image(
        repositoryName="scones-dev-serving", imageManifest=manifest, imageTag=serving_image.digest()[:12]
    )

    pushed = serving_image.build_and_push(REPOSITORY, ecr, lambda _: None)

    assert pushed == f"{REPOSITORY}@{put['image']['imageId']['imageDigest']}"
    assert docker() == []


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("version", "start Docker"),
        ("buildx version", "buildx plugin"),
        ("login", "docker login"),
        ("buildx build", "last lines"),
    ],
)
def test_each_failure_of_docker_says_what_it_said_and_what_to_do(docker, ecr, monkeypatch, fails, said):
    monkeypatch.setenv("FAILS", fails)

    with pytest.raises(ImageError, match=f"(?s){said}|{said}.*daemon"):
        serving_image.build_and_push(REPOSITORY, ecr, lambda _: None)


def test_a_client_without_an_engine_is_one_line_and_exit_code_1(docker, monkeypatch):
    monkeypatch.setenv("FAILS", "version")

    result = CliRunner().invoke(app, ["image", "--env", "dev"])

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "daemon running" in line
    assert "on a machine that has it" in line


def test_a_machine_without_docker_is_one_line_and_exit_code_1(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    result = CliRunner().invoke(app, ["image", "--env", "dev"])

    assert result.exit_code == 1
    assert "install Docker" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_one_machine_aws_needs_no_image_and_says_so(docker):
    result = CliRunner().invoke(app, ["image", "--env", "local"])

    assert result.exit_code == 1
    assert "takes no image" in result.stderr


def test_the_tag_changes_with_every_source_of_the_image(tmp_path, monkeypatch):
    before = serving_image.digest()
    copy = tmp_path / "copy"
    for path in serving_image.sources():
        target = copy / path.relative_to(serving_image.ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    monkeypatch.setattr(serving_image, "ROOT", copy)
    monkeypatch.setattr(serving_image, "DOCKERFILE", copy / "training_scripts" / "Dockerfile")
    assert serving_image.digest() == before

    for path in serving_image.sources():
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        assert serving_image.digest() != before, path
        path.write_bytes(content)
