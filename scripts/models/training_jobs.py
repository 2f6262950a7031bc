"""Submits SageMaker training jobs of training_scripts/train.py in script mode, and follows them.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
https://github.com/aws/sagemaker-training-toolkit
"""

import gzip
import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.common.errors import UserError
from scripts.common.paths import ROOT
from scripts.common.progress import Progress
from scripts.common.s3 import list_objects
from scripts.deployment.outputs import Deployment
from training_scripts import artifact
from training_scripts.training.settings import QUICK

PROGRAM = "training_scripts/train.py"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
ENDED = ("Completed", "Failed", "Stopped")
DAY_SECONDS = 86_400
LONGEST_RUN_SECONDS = 3 * 3600
VOLUME_GB = 30
LAST_LINES = 15
# What train.py prints, and the names under which SageMaker graphs it.
METRICS = {
    "train:epoch": r"epoch=([0-9]+)/[0-9]+",
    "train:loss": r"loss=([0-9.]+)",
    "validation:accuracy": r"cross_validation accuracy=([0-9.]+)",
}
EPOCH = re.compile(r"^(?P<run>[\w-]+) epoch=(?P<epoch>[0-9]+)/(?P<epochs>[0-9]+)")


class TrainingJobError(UserError):
    """A job cannot be submitted, or ended without a model; the message says why and what to do."""


class JobFailed(TrainingJobError):
    """The job failed; the message holds its reason and its last log lines."""


class JobStopped(TrainingJobError):
    """The job was stopped, by a person or at its longest runtime, and left no model."""


class EmptyChannel(TrainingJobError):
    """There is no data in the place that the job would read."""


class ToolsMissing(TrainingJobError):
    """The interpreter that would train on this machine lacks a package."""


@dataclass(frozen=True)
class Plan:
    """What to train and on what.

    data, pretraining, reviewed: s3:// prefixes below training/data/ in the deployment's bucket.
    hyperparameters: those of train.py, by their names there.
    """

    data: str
    pretraining: str | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    instance_type: str = "ml.g6.xlarge"
    spot: bool = False
    reviewed: str | None = None


@dataclass(frozen=True)
class Update:
    """A job's description, its new log lines, and the latest value of each metric."""

    description: dict[str, Any]
    lines: list[str]
    metrics: dict[str, float]

    @property
    def stage(self) -> str:
        return str(self.description["SecondaryStatus"])


class TrainingJobs:
    """The training jobs of a deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self._s3, self._logs = deployment.client("s3"), deployment.client("logs")
        self._sagemaker = deployment.client("sagemaker")

    def provide(self, data: str, progress: Progress) -> str:
        """The S3 prefix of a channel's data; a local archive or folder is uploaded first.

        What is there already is not uploaded again.

        Raises:
            EmptyChannel: nothing is there, or a job may not read it.
        """
        place = f"s3://{self.deployment.bucket}/training/data/"
        if not data.startswith("s3://"):
            return self._upload(Path(data), progress)
        if not data.startswith(place):
            raise EmptyChannel(
                f"{data} is out of reach: training jobs of this deployment read below {place} only."
            )
        prefix = data.removeprefix(f"s3://{self.deployment.bucket}/")
        if not any(list_objects(self._s3, self.deployment.bucket, prefix)):
            raise EmptyChannel(f"{data} holds nothing: `scones stage` lays pictures down there.")
        return data

    def submit(self, plan: Plan) -> str:
        """Upload the code and start a job; returns the job's name."""
        name = f"{self.deployment.prefix}-training-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        key = f"training/{name}/source/sourcedir.tar.gz"
        self._s3.put_object(Bucket=self.deployment.bucket, Key=key, Body=source_archive())
        self._sagemaker.create_training_job(**request(self.deployment, name, plan))
        return name

    def watch(self, name: str) -> "Watch":
        """Follows a job. Stopping does not stop the job."""
        return Watch(name, self._sagemaker, self._logs)

    def stop(self, name: str) -> None:
        """Ask SageMaker to stop a job, which has two minutes to end by itself."""
        self._sagemaker.stop_training_job(TrainingJobName=name)

    def expected_artifact(self, name: str) -> str:
        """The URI of the job's model if it succeeds."""
        return f"s3://{self.deployment.bucket}/training/{name}/output/model.tar.gz"

    def console_url(self, name: str) -> str:
        """The job's page in the AWS console."""
        region = self.deployment.region
        return f"https://{region}.console.aws.amazon.com/sagemaker/home?region={region}#/jobs/{name}"

    def _upload(self, path: Path, progress: Progress) -> str:
        if not path.exists():
            raise EmptyChannel(
                f"{path} is not there: name an archive, a folder or s3://BUCKET/training/data/NAME/."
            )
        files = _files(path)
        if not files:
            raise EmptyChannel(f"{path} is an empty folder: name one of <class>/<file>, or an archive.")
        prefix = f"training/data/{fingerprint(path)[:16]}/"
        listed = list_objects(self._s3, self.deployment.bucket, prefix)
        there = {each["Key"]: each["Size"] for each in listed}
        missing = [name for name, file in files.items() if there.get(prefix + name) != file.stat().st_size]
        for number, name in enumerate(missing):
            progress(f"Uploading: {name}", number / len(missing))
            self._s3.upload_file(str(files[name]), self.deployment.bucket, prefix + name)
        return f"s3://{self.deployment.bucket}/{prefix}"


class Watch:
    """Follows one job: each call of `news` returns what is new since the last one."""

    def __init__(self, name: str, sagemaker: Any, logs: Any) -> None:
        self._name, self._sagemaker, self._logs = name, sagemaker, logs
        self._stream: str | None = None
        self._token: dict[str, str] = {}
        self._metrics: dict[str, float] = {}
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)

    def news(self) -> Update:
        """What is new. The log is read after the status, so an ended job's log is complete."""
        description = self._sagemaker.describe_training_job(TrainingJobName=self._name)
        lines = self._new_lines()
        for line in lines:
            self._metrics |= measured(line)
        self._last_lines.extend(lines)
        return Update(description, lines, dict(self._metrics))

    def artifact(self, description: Mapping[str, Any]) -> str:
        """The URI of the ended job's model.tar.gz. Raises JobFailed, JobStopped."""
        status, log = description["TrainingJobStatus"], "\n  ".join(self._last_lines)
        if status == "Failed":
            raise JobFailed(
                f"The training job {self._name} failed: {description.get('FailureReason', 'no reason given')}\n"
                f"Its log (group {LOG_GROUP}) ends with:\n  {log}"
            )
        uri = (description.get("ModelArtifacts") or {}).get("S3ModelArtifacts")
        if status == "Completed" and uri:
            return str(uri)
        cause = "somebody stopped it" if status == "Stopped" else "it wrote none"
        if description["SecondaryStatus"] == "MaxRuntimeExceeded":
            cause = f"it ran longer than {LONGEST_RUN_SECONDS // 3600} hours"
        raise JobStopped(
            f"The training job {self._name} left no finished model: {cause}. Its log ends with:\n  {log}"
        )

    def _new_lines(self) -> list[str]:
        self._stream = self._stream or self._find_stream()
        lines: list[str] = []
        while self._stream:
            answer = self._logs.get_log_events(
                logGroupName=LOG_GROUP, logStreamName=self._stream, startFromHead=True, **self._token
            )
            lines += [event["message"] for event in answer["events"]]
            # The token of the last page comes back unchanged.
            if self._token.get("nextToken") == answer["nextForwardToken"]:
                break
            self._token = {"nextToken": answer["nextForwardToken"]}
        return lines

    def _find_stream(self) -> str | None:
        try:
            found = self._logs.describe_log_streams(
                logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self._name}/"
            )
        except self._logs.exceptions.ResourceNotFoundException:
            return None  # the account's first job has not printed anything yet
        streams = found["logStreams"]
        return str(streams[0]["logStreamName"]) if streams else None


def request(deployment: Deployment, name: str, plan: Plan) -> dict[str, Any]:
    """The CreateTrainingJob request."""
    bucket = f"s3://{deployment.bucket}"
    script = {
        "sagemaker_program": PROGRAM,
        "sagemaker_submit_directory": f"{bucket}/training/{name}/source/sourcedir.tar.gz",
    }
    channels = {"training": plan.data, "pretrain": plan.pretraining, "reviewed": plan.reviewed}
    limits = {"MaxRuntimeInSeconds": LONGEST_RUN_SECONDS}
    # An environment's name has no dash (terraform/variables.tf).
    project, environment = deployment.prefix.rsplit("-", 1)
    tags = {"project": project, "environment": environment, "managed_by": "scones train"}
    asked: dict[str, Any] = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": deployment.training_image_uri,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": metric, "Regex": regex} for metric, regex in METRICS.items()],
        },
        "RoleArn": deployment.training_role_arn,
        "InputDataConfig": [_channel(channel, uri) for channel, uri in channels.items() if uri],
        "OutputDataConfig": {"S3OutputPath": f"{bucket}/training", "KmsKeyId": deployment.key_arn},
        "ResourceConfig": {
            "InstanceType": plan.instance_type,
            "InstanceCount": 1,
            "VolumeSizeInGB": VOLUME_GB,
        },
        "StoppingCondition": limits,
        "HyperParameters": {n: json.dumps(v) for n, v in {**script, **plan.hyperparameters}.items()},
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    if commit := artifact.commit():
        asked["Environment"] = {artifact.COMMIT_VARIABLE: commit}
    if plan.spot:
        asked |= {
            "EnableManagedSpotTraining": True,
            "CheckpointConfig": {"S3Uri": f"{bucket}/training/{name}/checkpoints"},
            # Spot capacity may be a day away.
            "StoppingCondition": limits | {"MaxWaitTimeInSeconds": DAY_SECONDS},
        }
    return asked


def _channel(name: str, uri: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "InputMode": "File"}


def measured(line: str) -> dict[str, float]:
    """The metrics in a log line, as SageMaker reads them."""
    found = {name: re.search(regex, line) for name, regex in METRICS.items()}
    return {name: float(match[1]) for name, match in found.items() if match}


def share_done(line: str) -> tuple[str, float] | None:
    """(what is running, the share that is done) by a log line; None for other lines."""
    match = EPOCH.match(line)
    if match is None:
        return None
    return f"{match['run']}, epoch {match['epoch']} of {match['epochs']}", int(match["epoch"]) / int(
        match["epochs"]
    )


def source_archive() -> bytes:
    """sourcedir.tar.gz: the training code; the same sources give the same bytes."""
    paths = [ROOT / "functions" / "__init__.py"]
    paths += [*(ROOT / "functions" / "common").glob("*.py"), *(ROOT / "training_scripts").rglob("*.py")]
    paths += [(ROOT / "training_scripts" / "quick" / "lite0.onnx")]
    members = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}
    # What the container installs before training; PyTorch is there already. With hashes, pip takes
    # nothing without one.
    members["requirements.txt"] = (ROOT / "requirements" / "job.txt").read_bytes()
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name, content in sorted(members.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def check_interpreter(python: str, architecture: str) -> None:
    """Make sure that jobs on this machine find the packages of that architecture. Raises ToolsMissing."""
    needed = "sklearn, onnx" if architecture == QUICK else "torch, onnx"
    remedy = (
        "`make setup-quick`, which installs scikit-learn into .venv (about 50 MB)"
        if architecture == QUICK
        else "`make setup-train`, which installs PyTorch into .venv (about 200 MB for CPUs)"
    )
    try:
        done = subprocess.run(
            [python, "-c", f"import {needed}"], capture_output=True, text=True, check=False, cwd=ROOT
        )
    except OSError as error:
        raise ToolsMissing(
            f"{python} cannot be run ({error}): set SCONES_TRAINING_PYTHON to another."
        ) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it ended without a word"]
        raise ToolsMissing(
            f"{python} cannot train ({lines[-1]}): run {remedy}, or name a Python that has it by "
            "SCONES_TRAINING_PYTHON and start the stack anew."
        )


def fingerprint(source: Path) -> str:
    """Hex SHA-256 over the names and contents of a file or a folder."""
    whole = hashlib.sha256()
    for name, path in _files(source).items():
        with path.open("rb") as file:
            whole.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def _files(source: Path) -> dict[str, Path]:
    if source.is_file():
        return {source.name: source}
    return {
        path.relative_to(source).as_posix(): path
        for path in sorted(source.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
