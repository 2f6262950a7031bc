"""SageMaker training jobs in script mode, each in a process of its own.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

from __future__ import annotations

import logging
import re
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from scripts.local_aws.core import child_processes, moto_backends
from scripts.local_aws.core.errors import ServiceError
from scripts.local_aws.core.log_writer import LogWriter
from scripts.local_aws.iam.authorization import Authorization, Caller
from scripts.local_aws.sagemaker.endpoints import repository_arn, repository_name
from scripts.local_aws.sagemaker.training_container import BASE, HOST, Bucket, Container, JobFailed

logger = logging.getLogger(__name__)

Payload = dict[str, Any]

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
# Between SIGTERM and SIGKILL: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StopTrainingJob.html
STOP_SECONDS = 120.0
DEFAULT_RUNTIME_SECONDS = 86_400
LAST_WORDS = 10
POLL_SECONDS = 0.1
ENDED = ("Completed", "Failed", "Stopped")
MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training in-progress",
    "Stopping": "Stopping the training job",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}


@dataclass
class Job:
    """A training job: what DescribeTrainingJob answers, and what runs."""

    description: Payload
    container: Container
    caller: Caller
    stop_asked: threading.Event = field(default_factory=threading.Event)
    process: subprocess.Popen[bytes] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    last_words: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_WORDS))

    def enter(self, status: str, message: str = "") -> None:
        """Go on to a SecondaryStatus."""
        now, transitions = time.time(), self.description["SecondaryStatusTransitions"]
        if transitions:
            transitions[-1]["EndTime"] = now
        transitions.append({"Status": status, "StartTime": now, "StatusMessage": message or MESSAGES[status]})
        self.description |= {"SecondaryStatus": status, "LastModifiedTime": now}

    def end(self, status: str, secondary: str = "", **facts: Any) -> None:
        """Reach one of the final states; TrainingJobStatus comes last, because clients wait for it."""
        self.enter(secondary or status, facts.get("FailureReason", ""))
        now = time.time()
        self.description["SecondaryStatusTransitions"][-1]["EndTime"] = now
        seconds = round(now - self.description.get("TrainingStartTime", now))
        times = {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds, "TrainingEndTime": now}
        self.description |= times | facts
        with self.lock:
            self.description["TrainingJobStatus"] = status

    def measure(self, line: str) -> None:
        """Take the metrics out of a line; the last value of each is kept."""
        for definition in self.description["AlgorithmSpecification"].get("MetricDefinitions", ()):
            if found := re.search(definition["Regex"], line):
                metric = {
                    "MetricName": definition["Name"],
                    "Value": float(found[1]),
                    "Timestamp": time.time(),
                }
                others = [
                    m
                    for m in self.description["FinalMetricDataList"]
                    if m["MetricName"] != definition["Name"]
                ]
                self.description["FinalMetricDataList"] = [*others, metric]


class Training:
    """The training jobs.

    Args:
        state_dir: each job gets a folder below it, in the place of /opt/ml.
        images: the Python interpreter (a list of words) per image repository name.
        add_tags: SageMaker's AddTags.
        authorization: decides what a job's role may do.
        wait_scale: factor on the grace that a stopped job gets.
    """

    def __init__(
        self,
        state_dir: Path,
        images: dict[str, list[str]],
        add_tags: Callable[[Payload], Payload],
        authorization: Authorization,
        wait_scale: float,
    ) -> None:
        self._folder, self._images, self._add_tags = state_dir / "training", images, add_tags
        self._authorization = authorization
        self._grace = STOP_SECONDS * wait_scale
        self._logs = LogWriter()
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self.actions = {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": lambda payload: dict(self._find(payload["TrainingJobName"]).description),
            "ListTrainingJobs": self.list,
            "StopTrainingJob": self.stop_job,
        }

    def handle(self, action: str, payload: Payload) -> Payload:
        """Answer one action. Raises ServiceError as SageMaker does."""
        with self._lock:
            return self.actions[action](payload)

    def create(self, payload: Payload) -> Payload:
        name = payload["TrainingJobName"]
        arn = moto_backends.arn("sagemaker", f"training-job/{name.lower()}")
        caller = Caller("sagemaker.amazonaws.com", payload["RoleArn"], arn)
        bucket = Bucket(self._authorization, caller)
        self._check(payload, bucket)
        if name in self._jobs:
            raise ServiceError(
                "ResourceInUse",
                "Training job names must be unique within an AWS account and region, and a training job with this "
                f"name already exists ({arn})",
            )
        facts = {
            "TrainingJobArn": arn,
            "TrainingJobStatus": "InProgress",
            "CreationTime": time.time(),
            "SecondaryStatusTransitions": [],
            "FinalMetricDataList": [],
        }
        asked = {field: value for field, value in payload.items() if field != "Tags"}
        job = Job(asked | facts, Container(self._folder / name, payload, arn, bucket), caller)
        job.enter("Starting")
        self._jobs[name] = job
        self._add_tags({"ResourceArn": arn, "Tags": payload.get("Tags", [])})
        threading.Thread(target=self._run, args=(job,), daemon=True).start()
        return {"TrainingJobArn": arn}

    def list(self, payload: Payload) -> Payload:
        jobs = [job.description for job in self._jobs.values()]
        wanted = payload.get("StatusEquals")
        found = [
            each
            for each in sorted(jobs, key=lambda job: job["CreationTime"])
            if payload.get("NameContains", "") in each["TrainingJobName"]
            and wanted in (None, each["TrainingJobStatus"])
        ]
        if payload.get("SortOrder", "Descending") == "Descending":
            found.reverse()
        first = int(payload.get("NextToken", 0))
        after = first + payload.get("MaxResults", 10)
        fields = ("Name", "Arn", "Status")
        times = ("CreationTime", "TrainingEndTime", "LastModifiedTime", "SecondaryStatus")
        names = [*(f"TrainingJob{each}" for each in fields), *times]
        summaries = [{n: each[n] for n in names if n in each} for each in found[first:after]]
        more = {"NextToken": str(after)} if after < len(found) else {}
        return {"TrainingJobSummaries": summaries, **more}

    def stop_job(self, payload: Payload) -> Payload:
        job = self._find(payload["TrainingJobName"])
        with job.lock:
            status = job.description["TrainingJobStatus"]
            if status in ENDED:
                raise _invalid(f"The request was rejected because the training job is in status {status}.")
            job.description["TrainingJobStatus"] = "Stopping"
        job.stop_asked.set()
        return {}

    def stop(self) -> None:
        """End every job's process at once."""
        for job in self._jobs.values():
            if job.process:
                child_processes.stop(job.process)
        self._logs.stop()

    def _check(self, payload: Payload, bucket: Bucket) -> None:
        """What SageMaker refuses before it starts anything."""
        specification = payload["AlgorithmSpecification"]
        image = specification.get("TrainingImage", "")
        if repository_name(image) not in self._images:
            known = ", ".join(self._images) or "none"
            raise _invalid(
                f"No --image says how to start {repository_name(image)!r}; known repositories: {known}."
            )
        for definition in specification.get("MetricDefinitions", ()):
            try:
                groups = re.compile(definition["Regex"]).groups
            except re.error:
                groups = 0
            if not groups:
                raise _invalid(
                    f"The regex of the metric {definition['Name']} is none with a group for its value."
                )
        missing = {"sagemaker_program", "sagemaker_submit_directory"} - set(
            payload.get("HyperParameters", ())
        )
        if missing:
            raise _invalid(
                f"Only script mode runs here: the hyperparameters lack {', '.join(sorted(missing))}."
            )
        for channel in payload.get("InputDataConfig") or ():
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            if not bucket.objects(uri):
                raise _invalid(
                    f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the '
                    f"bucket exists in the selected region ({moto_backends.REGION}), that objects exist under that S3 "
                    f'prefix, and that the role "{payload["RoleArn"]}" has "s3:ListBucket" permissions on the bucket.'
                )
        limits = payload["StoppingCondition"]
        if payload.get("EnableManagedSpotTraining") and limits.get("MaxWaitTimeInSeconds", 0) < limits.get(
            "MaxRuntimeInSeconds", DEFAULT_RUNTIME_SECONDS
        ):
            raise _invalid(
                "MaxWaitTimeInSeconds must be at least MaxRuntimeInSeconds for managed spot training."
            )
        if not payload.get("CheckpointConfig", {}).get("LocalPath", str(BASE)).startswith(str(BASE)):
            raise _invalid(f"CheckpointConfig.LocalPath must lie under {BASE} here.")

    def _find(self, name: str) -> Job:
        if name not in self._jobs:
            raise _invalid("Requested resource not found.")
        return self._jobs[name]

    def _run(self, job: Job) -> None:
        name = job.description["TrainingJobName"]
        try:
            job.enter("Downloading")
            self._check_image(job)
            job.container.prepare()
            if not job.stop_asked.is_set():
                self._train(job)
            else:
                job.end("Stopped")
        except JobFailed as error:
            job.end("Failed", FailureReason=str(error))
        except OSError as error:
            job.end("Failed", FailureReason=f"ClientError: {error}")
        except Exception as error:
            logger.exception("training job %s failed", name)
            job.end("Failed", FailureReason=f"InternalServerError: {type(error).__name__}: {error}")

    def _check_image(self, job: Job) -> None:
        """https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createtrainingjob-perms"""
        repository = repository_arn(job.description["AlgorithmSpecification"]["TrainingImage"])
        try:
            self._authorization.check(job.caller, "sagemaker:PullImage", repository=repository)
        except ServiceError as error:
            raise JobFailed(f"ClientError: The image cannot be pulled: {error.message}") from error

    def _train(self, job: Job) -> None:
        job.enter("Training")
        job.description["TrainingStartTime"] = time.time()
        interpreter = self._images[
            repository_name(job.description["AlgorithmSpecification"]["TrainingImage"])
        ]
        job.process = child_processes.start(
            [*interpreter, *job.container.arguments()], job.container.environment(), job.container.code
        )
        reader = threading.Thread(target=self._read, args=(job, job.process.stdout), daemon=True)
        reader.start()
        cut_off = self._await_end(job, job.process)
        reader.join(timeout=5)
        self._logs.flush()
        code = job.process.returncode
        job.container.save_checkpoints()
        if code and not cut_off:
            raise JobFailed(job.container.failure(code, job.last_words))
        facts = {}
        if code == 0:
            job.enter("Uploading")
            facts = {"ModelArtifacts": {"S3ModelArtifacts": job.container.save_output("model")}}
            job.container.save_output("output")
        job.end("Stopped" if cut_off else "Completed", cut_off or "Completed", **facts)

    def _await_end(self, job: Job, process: subprocess.Popen[bytes]) -> str:
        """Wait for the program's end; returns the SecondaryStatus of a job that was cut off, else nothing."""
        limits = job.description["StoppingCondition"]
        deadline = time.monotonic() + limits.get("MaxRuntimeInSeconds", DEFAULT_RUNTIME_SECONDS)
        cut_off = ""
        while process.poll() is None and not cut_off:
            if job.stop_asked.wait(POLL_SECONDS):
                cut_off = "Stopped"
            elif time.monotonic() > deadline:
                cut_off = "MaxRuntimeExceeded"
        if cut_off:
            job.enter("Stopping")
        child_processes.stop(process, self._grace)
        return cut_off

    def _read(self, job: Job, output: IO[bytes]) -> None:
        stream = f"{job.description['TrainingJobName']}/{HOST}-{int(time.time())}"
        logged = self._may_log(job.caller, stream)
        if logged:
            self._logs.open_stream(LOG_GROUP, stream)
        for raw in output:
            line = raw.decode("utf-8", "replace").rstrip()
            if line:
                job.last_words.append(line)
                job.measure(line)
                if logged:
                    self._logs.write(LOG_GROUP, stream, [line])

    def _may_log(self, caller: Caller, stream: str) -> bool:
        """The log of a job, and the metrics of its instance, are written by the job's role."""
        group, allows = moto_backends.arn("logs", f"log-group:{LOG_GROUP}"), self._authorization.allows
        namespace = (("cloudwatch:namespace", ("/aws/sagemaker/TrainingJobs",)),)
        allows(caller, "sagemaker:PutMetrics", context=namespace)
        found = allows(caller, "sagemaker:FindLogGroup", group=group, own_group=True)
        return self._authorization.may_log(caller, "sagemaker:WriteLogs", LOG_GROUP, stream) and found


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)
