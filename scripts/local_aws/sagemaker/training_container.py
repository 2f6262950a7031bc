"""What a training container finds and leaves behind: a folder tree like /opt/ml, and variables that point into it.

The folders: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
Script mode, its variables and SAGEMAKER_BASE_DIR, which replaces /opt/ml if that cannot be written:
https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from scripts.local_aws.core import moto_backends, unpacking
from scripts.local_aws.core.errors import ServiceError
from scripts.local_aws.iam.authorization import Authorization, Caller

BASE = PurePosixPath("/opt/ml")
HOST = "algo-1"
FAILURE_CHARACTERS = 1024


class JobFailed(Exception):
    """The job cannot go on; the text is its FailureReason."""


class Container:
    """The files of one training job.

    Args:
        folder: takes the place of /opt/ml; what a former run of the one-machine AWS left there is removed.
        request: the CreateTrainingJob request.
        arn: the job's ARN.
        bucket: S3, by the job's role.
    """

    def __init__(self, folder: Path, request: dict[str, Any], arn: str, bucket: Bucket) -> None:
        self._folder, self._bucket = folder, bucket
        self._request, self._arn = request, arn
        self.code = folder / "code"
        self.hyperparameters = {
            name: _decoded(text) for name, text in (request.get("HyperParameters") or {}).items()
        }
        self._own = {n: v for n, v in self.hyperparameters.items() if not n.startswith("sagemaker_")}

    def prepare(self) -> None:
        """Download channels, checkpoints and code. Raises JobFailed, and OSError for a full disk."""
        shutil.rmtree(self._folder, ignore_errors=True)
        for name in ("model", "checkpoints", "input/config", "input/data", "output/data"):
            (self._folder / name).mkdir(parents=True)
        for channel in self._channels():
            source = channel["DataSource"]["S3DataSource"]
            self._bucket.download(source["S3Uri"], self._folder / "input" / "data" / channel["ChannelName"])
        if config := self._request.get("CheckpointConfig"):
            self._bucket.download(config["S3Uri"], self._checkpoints())
        self._unpack(self.hyperparameters["sagemaker_submit_directory"])
        self._configure("hyperparameters", self._request.get("HyperParameters") or {})
        self._configure("inputdataconfig", self._input_data())
        self._configure("resourceconfig", self._resources())

    def arguments(self) -> list[str]:
        """The program's name and its hyperparameters as the toolkit hands them over."""
        words = [str(self.hyperparameters["sagemaker_program"])]
        for name, value in self._own.items():
            words += [f"--{name}" if len(name) > 1 else f"-{name}", _text(value)]
        return words

    def environment(self) -> dict[str, str]:
        """The variables of the training program."""
        folder, channels = self._folder, {each["ChannelName"]: each for each in self._channels()}
        told: dict[str, Any] = {
            "SM_MODEL_DIR": folder / "model",
            "SM_INPUT_DIR": folder / "input",
            "SM_INPUT_CONFIG_DIR": folder / "input" / "config",
            "SM_OUTPUT_DIR": folder / "output",
            "SM_OUTPUT_DATA_DIR": folder / "output" / "data",
            "SM_MODULE_DIR": self.hyperparameters["sagemaker_submit_directory"],
            "SM_USER_ENTRY_POINT": self.hyperparameters["sagemaker_program"],
            "SM_HPS": self._own,
            "SM_USER_ARGS": self.arguments()[1:],
            "SM_CHANNELS": sorted(channels),
            "SM_INPUT_DATA_CONFIG": self._input_data(),
            "SM_RESOURCE_CONFIG": self._resources(),
            "SM_CURRENT_HOST": HOST,
            "SM_HOSTS": [HOST],
            "SM_NUM_CPUS": os.cpu_count(),
            "SM_NUM_GPUS": len(list(Path("/proc/driver/nvidia/gpus").glob("*"))),
            "SAGEMAKER_BASE_DIR": folder,
            "TRAINING_JOB_NAME": self._request["TrainingJobName"],
            "TRAINING_JOB_ARN": self._arn,
            "PYTHONPATH": self.code,
            "PYTHONUNBUFFERED": "1",
        }
        told |= {f"SM_CHANNEL_{name.upper()}": folder / "input" / "data" / name for name in channels}
        told |= {f"SM_HP_{name.upper().replace('-', '_')}": value for name, value in self._own.items()}
        given = self._request.get("Environment") or {}
        return {**os.environ, **{name: _text(value) for name, value in told.items()}, **given}

    def failure(self, code: int, last_words: Iterable[str]) -> str:
        """The FailureReason of a program that ended with `code`: its own words, or those that the toolkit reports."""
        path = self._folder / "output" / "failure"
        if path.is_file():
            reason = path.read_text(encoding="utf-8", errors="replace")
        else:
            command = " ".join(["python", *self.arguments()])
            said = "\n".join(last_words)
            reason = f'ExecuteUserScriptError:\nExitCode {code}\nErrorMessage "{said}"\nCommand "{command}"'
        return f"AlgorithmError: {reason[:FAILURE_CHARACTERS]}, exit code: {code}"

    def save_checkpoints(self) -> None:
        """Bring the checkpoints to S3. AWS does so all along; here once, at the job's end."""
        if config := self._request.get("CheckpointConfig"):
            folder = self._checkpoints()
            for path in _files(folder):
                target = f"{config['S3Uri'].rstrip('/')}/{path.relative_to(folder).as_posix()}"
                self._bucket.upload(target, path)

    def save_output(self, name: str) -> str | None:
        """Pack model/ or output/data/ and upload it whole; returns its URI, None for an empty folder.

        Raises OSError when the disk is full: nothing has been uploaded then.
        """
        source = self._folder / {"model": "model", "output": "output/data"}[name]
        files = list(_files(source))
        if not files:
            return None
        packed = self._folder / "output" / f"{name}.tar.gz"
        with packed.open("wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for path in files:
                archive.add(path, path.relative_to(source).as_posix())
        config = self._request["OutputDataConfig"]
        uri = f"{config['S3OutputPath'].rstrip('/')}/{self._request['TrainingJobName']}/output/{packed.name}"
        self._bucket.upload(uri, packed, config.get("KmsKeyId"))
        return uri

    def _channels(self) -> list[dict[str, Any]]:
        return self._request.get("InputDataConfig") or []

    def _checkpoints(self) -> Path:
        local = PurePosixPath(self._request["CheckpointConfig"].get("LocalPath") or BASE / "checkpoints")
        return self._folder / local.relative_to(BASE)

    def _input_data(self) -> dict[str, Any]:
        return {
            each["ChannelName"]: {
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
            }
            for each in self._channels()
        }

    def _resources(self) -> dict[str, Any]:
        instance = self._request.get("ResourceConfig", {}).get("InstanceType", "local")
        return {"current_host": HOST, "hosts": [HOST], "current_instance_type": instance}

    def _configure(self, name: str, content: dict[str, Any]) -> None:
        path = self._folder / "input" / "config" / f"{name}.json"
        path.write_text(json.dumps(content), encoding="utf-8")

    def _unpack(self, uri: str) -> None:
        try:
            unpacking.tar(self._bucket.read(uri), self.code)
        except unpacking.NotUnpacked as error:
            raise JobFailed(f"ClientError: The code at {uri} cannot be unpacked: {error}") from error


class Bucket:
    """S3 as a job sees it: by the job's role."""

    def __init__(self, authorization: Authorization, caller: Caller) -> None:
        self._authorization, self._caller = authorization, caller

    def objects(self, uri: str) -> list[tuple[str, str]]:
        """(key, path below the prefix) of the objects under an s3:// URI, which may also name a single object.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html
        """
        bucket, prefix = _split(uri)
        try:
            self._authorization.check(self._caller, "s3:ListObjects", Bucket=bucket, Prefix=prefix)
            found, *_ = moto_backends.s3().list_objects(
                moto_backends.s3().head_bucket(bucket), prefix, None, None, None
            )
        except Exception:  # moto has no common class for what a bucket can lack
            return []
        keys = [each.name for each in found if not each.name.endswith("/")]
        return [(key, key[len(prefix) :].lstrip("/") or key.rsplit("/", 1)[-1]) for key in keys]

    def download(self, uri: str, folder: Path) -> None:
        """Raises JobFailed."""
        folder.mkdir(parents=True, exist_ok=True)
        bucket, _ = _split(uri)
        for key, name in self.objects(uri):
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise JobFailed(
                    f"ClientError: Data download failed: the key {key!r} leaves its channel's folder"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.read(f"s3://{bucket}/{key}"))

    def read(self, uri: str) -> bytes:
        """Raises JobFailed."""
        bucket, key = _split(uri)
        try:
            self._authorization.check(self._caller, "s3:GetObject", Bucket=bucket, Key=key)
            found = moto_backends.s3().get_object(bucket, key)
        except ServiceError as error:
            raise JobFailed(f"ClientError: Data download failed: {uri}: {error.message}") from error
        except Exception:  # as above
            found = None
        if found is None:
            raise JobFailed(f"ClientError: Data download failed: there is no {uri}")
        content: bytes = found.value
        return content

    def upload(self, uri: str, path: Path, key: str | None = None) -> None:
        """Raises JobFailed. `key` is the KMS key that the job's request names, if it does."""
        bucket, name = _split(uri)
        content = path.read_bytes()
        try:
            self._authorization.check(self._caller, "s3:UploadInParts", Bucket=bucket, Key=name)
            if key:
                self._authorization.check(self._caller, "sagemaker:EncryptOutput", key=key)
            moto_backends.s3().put_object(bucket, name, content)
        except Exception as error:  # as above
            raise JobFailed(f"ClientError: Data upload failed: {uri} cannot be written: {error}") from error


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)
