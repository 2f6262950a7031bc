"""SageMaker training jobs: https://docs.aws.amazon.com/sagemaker/latest/dg/how-it-works-training.html."""

import io
import json
import tarfile
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_aws.conftest import Server, eventually, process_exists

PROGRAM = Path(__file__).with_name("training_program.py")
ENDED = ("Completed", "Failed", "Stopped")
ON_LINUX = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full and /proc")


def source_archive(name: str = "train.py") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(PROGRAM, name)
    return buffer.getvalue()


class Jobs:
    """A bucket with data and code, and the jobs that are started on it."""

    def __init__(self, server: Server) -> None:
        self.server, self.sagemaker, self.s3 = server, server.client("sagemaker"), server.client("s3")
        self.bucket, self.role = server.create_bucket(), server.create_role()
        for key, text in {"data/a.txt": "a", "data/sub/b.txt": "b", "single.txt": "c"}.items():
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=text.encode())
        self.s3.put_object(Bucket=self.bucket, Key="source.tar.gz", Body=source_archive())

    def channel(self, name: str, key: str) -> dict[str, Any]:
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{self.bucket}/{key}"}
        return {"ChannelName": name, "DataSource": {"S3DataSource": source}}

    def request(self, does: str = "train", **more: Any) -> dict[str, Any]:
        hyperparameters = {
            "sagemaker_program": json.dumps("train.py"),
            "sagemaker_submit_directory": json.dumps(f"s3://{self.bucket}/source.tar.gz"),
            "does": json.dumps(does),
        }
        return {
            "TrainingJobName": f"job-{uuid.uuid4().hex[:8]}",
            "HyperParameters": hyperparameters | more.pop("HyperParameters", {}),
            "AlgorithmSpecification": {
                "TrainingImage": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "train:loss", "Regex": "loss=([0-9.]+);"}],
            },
            "RoleArn": self.role,
            "InputDataConfig": [self.channel("training", "data/")],
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **more,
        }

    def start(self, does: str = "train", **more: Any) -> str:
        request = self.request(does, **more)
        self.sagemaker.create_training_job(**request)
        name: str = request["TrainingJobName"]
        return name

    def describe(self, name: str) -> dict[str, Any]:
        description: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
        return description

    def ended(self, name: str) -> dict[str, Any]:
        eventually(lambda: self.describe(name)["TrainingJobStatus"] in ENDED, 60)
        return self.describe(name)

    def await_words(self, name: str, words: str = "waiting") -> None:
        eventually(lambda: any(words in line for line in self.log(name)), 60)

    def run(self, does: str = "train", **more: Any) -> dict[str, Any]:
        return self.ended(self.start(does, **more))

    def keys(self, prefix: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [each["Key"] for each in listed.get("Contents", ())]

    def unpacked(self, uri: str, member: str) -> str:
        key = uri.removeprefix(f"s3://{self.bucket}/")
        content = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            file = archive.extractfile(member)
            assert file
            return file.read().decode()

    def log(self, name: str) -> list[str]:
        logs, group = self.server.client("logs"), "/aws/sagemaker/TrainingJobs"
        try:
            streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")[
                "logStreams"
            ]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [
            event["message"]
            for stream in streams
            for event in logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
        ]


@pytest.fixture(scope="module")
def jobs(server: Server) -> Jobs:
    return Jobs(server)


@pytest.fixture(scope="module")
def completed(jobs: Jobs) -> dict[str, Any]:
    return jobs.run(
        HyperParameters={"epochs": "3", "learning-rate": "0.5", "plain": "text", "list": '["x"]'},
        InputDataConfig=[jobs.channel("training", "data/"), jobs.channel("one", "single.txt")],
        Environment={"OWN": "set"},
        Tags=[{"Key": "project", "Value": "test"}],
    )


@pytest.fixture(scope="module")
def seen(jobs: Jobs, completed: dict[str, Any]) -> dict[str, Any]:
    """What the program of `completed` found."""
    found: dict[str, Any] = json.loads(
        jobs.unpacked(completed["ModelArtifacts"]["S3ModelArtifacts"], "weights")
    )
    return found


def test_a_job_passes_its_states_in_order(completed: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_SecondaryStatusTransition.html"""
    transitions = completed["SecondaryStatusTransitions"]
    passed = ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert [each["Status"] for each in transitions] == passed
    assert all(each["EndTime"] >= each["StartTime"] for each in transitions)
    assert (completed["TrainingJobStatus"], completed["SecondaryStatus"]) == ("Completed", "Completed")
    assert completed["TrainingEndTime"] >= completed["TrainingStartTime"] >= completed["CreationTime"]
    assert completed["BillableTimeInSeconds"] == completed["TrainingTimeInSeconds"]


def test_model_and_output_are_packed_below_the_output_path(jobs: Jobs, completed: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/model-train-storage.html"""
    name = completed["TrainingJobName"]
    assert (
        completed["ModelArtifacts"]["S3ModelArtifacts"]
        == f"s3://{jobs.bucket}/out/{name}/output/model.tar.gz"
    )
    assert jobs.unpacked(f"s3://{jobs.bucket}/out/{name}/output/output.tar.gz", "curve.csv") == "1,2"


def test_channels_are_folders_with_the_objects_below_the_prefix(seen: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html"""
    assert seen["files"] == {"one/single.txt": "c", "training/a.txt": "a", "training/sub/b.txt": "b"}
    assert seen["channels"]["training"]["TrainingInputMode"] == "File"


def test_hyperparameters_reach_the_program_decoded(seen: dict[str, Any]) -> None:
    """https://github.com/aws/sagemaker-training-toolkit: script mode"""
    arguments = """--does train --epochs 3 --learning-rate 0.5 --plain text --list ["x"]"""
    assert seen["argv"][1:] == arguments.split()
    assert seen["hyperparameters"]["does"] == '"train"'
    assert json.loads(seen["variables"]["SM_HPS"])["epochs"] == 3
    assert (seen["variables"]["SM_HP_LEARNING_RATE"], seen["variables"]["SM_HP_PLAIN"]) == ("0.5", "text")


def test_variables_name_the_jobs_own_folders(seen: dict[str, Any], completed: dict[str, Any]) -> None:
    """https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md"""
    variables, base = seen["variables"], Path(seen["cwd"]).parent
    assert variables["SM_CHANNEL_TRAINING"] == str(base / "input/data/training")
    assert variables["SM_MODEL_DIR"] == str(base / "model")
    assert variables["SM_OUTPUT_DATA_DIR"] == str(base / "output/data")
    assert json.loads(variables["SM_CHANNELS"]) == ["one", "training"]
    assert (variables["SM_CURRENT_HOST"], json.loads(variables["SM_HOSTS"])) == ("algo-1", ["algo-1"])
    assert variables["SM_NUM_GPUS"].isdigit()
    assert (variables["TRAINING_JOB_NAME"], variables["OWN"]) == (completed["TrainingJobName"], "set")


def test_output_is_logged_and_metrics_are_read_from_it(jobs: Jobs, completed: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/define-train-metrics.html"""
    assert jobs.log(completed["TrainingJobName"])[:2] == ["epoch=1 loss=1.0000;", "epoch=2 loss=0.5000;"]
    metrics = [(each["MetricName"], each["Value"]) for each in completed["FinalMetricDataList"]]
    assert metrics == [("train:loss", pytest.approx(1 / 3, abs=1e-4))]
    streams = jobs.server.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=completed["TrainingJobName"]
    )["logStreams"]
    assert [each["logStreamName"].rpartition("-")[0] for each in streams] == [
        f"{completed['TrainingJobName']}/algo-1"
    ]


def test_a_job_is_tagged(jobs: Jobs, completed: dict[str, Any]) -> None:
    tags = jobs.sagemaker.list_tags(ResourceArn=completed["TrainingJobArn"])["Tags"]
    assert tags == [{"Key": "project", "Value": "test"}]


def test_jobs_are_listed_newest_first(jobs: Jobs, completed: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListTrainingJobs.html"""
    newer = jobs.run()["TrainingJobName"]
    pages = jobs.sagemaker.get_paginator("list_training_jobs").paginate(
        StatusEquals="Completed", NameContains="job-", PaginationConfig={"PageSize": 1}
    )
    names = [each["TrainingJobName"] for page in pages for each in page["TrainingJobSummaries"]]
    assert names.index(newer) < names.index(completed["TrainingJobName"])


def test_a_name_is_taken_for_ever(jobs: Jobs, completed: dict[str, Any]) -> None:
    request = jobs.request() | {"TrainingJobName": completed["TrainingJobName"]}
    with pytest.raises(ClientError, match="must be unique") as error:
        jobs.sagemaker.create_training_job(**request)
    assert error.value.response["Error"]["Code"] == "ResourceInUse"


@pytest.mark.parametrize("action", ["describe_training_job", "stop_training_job"])
def test_an_unknown_job_is_a_validation_error(jobs: Jobs, action: str) -> None:
    with pytest.raises(ClientError, match="Requested resource not found") as error:
        getattr(jobs.sagemaker, action)(TrainingJobName="nowhere")
    assert error.value.response["Error"]["Code"] == "ValidationException"


def test_an_empty_channel_is_refused_before_anything_starts(jobs: Jobs) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Channel.html"""
    with pytest.raises(ClientError, match="No S3 objects found under S3 URL"):
        jobs.start(InputDataConfig=[jobs.channel("training", "nothing/here/")])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"HyperParameters": {"does": "1"}}, "sagemaker_program"),
        ({"AlgorithmSpecification": {"TrainingImage": "other:1", "TrainingInputMode": "File"}}, "No --image"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds"),
    ],
)
def test_what_cannot_run_is_refused(jobs: Jobs, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        jobs.sagemaker.create_training_job(**jobs.request() | change)


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("fail", "AlgorithmError: ExecuteUserScriptError:\nExitCode 3\n"),
        ("explain", "AlgorithmError: only one class in the data, exit code: 1"),
        pytest.param("fill-disk", "No space left on device", marks=ON_LINUX),
        pytest.param("leave-no-room", "ClientError: [Errno 28] No space left on device", marks=ON_LINUX),
    ],
)
def test_a_job_that_fails_says_why_and_leaves_nothing(jobs: Jobs, does: str, reason: str) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-signal-success-failure.html"""
    description = jobs.run(does)
    assert (description["TrainingJobStatus"], description["SecondaryStatus"]) == ("Failed", "Failed")
    assert reason in description["FailureReason"]
    assert jobs.keys(f"out/{description['TrainingJobName']}") == []


def test_the_last_words_of_a_failed_program_are_in_its_reason(jobs: Jobs) -> None:
    assert "the loss became nan" in jobs.run("fail")["FailureReason"]


def test_code_that_is_not_an_archive_fails_the_job(jobs: Jobs) -> None:
    jobs.s3.put_object(Bucket=jobs.bucket, Key="broken.tar.gz", Body=b"no archive")
    where = json.dumps(f"s3://{jobs.bucket}/broken.tar.gz")
    description = jobs.run(HyperParameters={"sagemaker_submit_directory": where})
    assert "cannot be unpacked" in description["FailureReason"]


def test_a_stopped_job_leaves_no_half_model(jobs: Jobs) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StopTrainingJob.html"""
    name = jobs.start("hang")
    jobs.await_words(name)
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    assert jobs.describe(name)["TrainingJobStatus"] in ("Stopping", "Stopped")
    description = jobs.ended(name)
    assert (description["TrainingJobStatus"], description["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert "Stopping" in [each["Status"] for each in description["SecondaryStatusTransitions"]]
    assert jobs.keys(f"out/{name}") == []
    with pytest.raises(ClientError, match="is in status Stopped"):
        jobs.sagemaker.stop_training_job(TrainingJobName=name)


def test_a_program_that_saves_when_stopped_keeps_its_model(jobs: Jobs) -> None:
    name = jobs.start("save-when-stopped")
    jobs.await_words(name)
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    description = jobs.ended(name)
    assert description["TrainingJobStatus"] == "Stopped"
    assert jobs.unpacked(description["ModelArtifacts"]["S3ModelArtifacts"], "weights") == "saved in time"


def test_a_program_that_ignores_sigterm_is_killed_after_its_grace(jobs: Jobs) -> None:
    name = jobs.start("ignore-sigterm")
    jobs.await_words(name)
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    assert jobs.ended(name)["TrainingJobStatus"] == "Stopped"


def test_a_job_ends_at_its_longest_runtime(jobs: Jobs) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StoppingCondition.html"""
    description = jobs.run("hang", StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert (description["TrainingJobStatus"], description["SecondaryStatus"]) == (
        "Stopped",
        "MaxRuntimeExceeded",
    )


def test_a_job_goes_on_from_the_checkpoints_of_another(jobs: Jobs) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/model-checkpoints.html"""
    spot: dict[str, Any] = {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
        "CheckpointConfig": {"S3Uri": f"s3://{jobs.bucket}/checkpoints"},
    }
    jobs.run(HyperParameters={"epochs": "4"}, **spot)
    second = jobs.run(**spot)
    seen = json.loads(jobs.unpacked(second["ModelArtifacts"]["S3ModelArtifacts"], "weights"))
    assert seen["epochs_before"] == 4


@ON_LINUX
def test_the_one_machine_aws_takes_its_jobs_with_it(own_server: Server) -> None:
    jobs = Jobs(own_server)
    name = jobs.start("hang", HyperParameters={"epochs": "1"})
    jobs.await_words(name)
    folder = own_server.state_dir / "training" / name
    running = eventually(lambda: _processes_in(folder))
    own_server.stop()
    eventually(lambda: not any(process_exists(pid) for pid in running))


def _processes_in(folder: Path) -> list[int]:
    """Processes whose working directory is the job's code."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.readlink() == folder / "code":
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found
