"""scones train against the one-machine AWS, whose jobs really run: a small program first, train.py itself last."""

import io
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import botocore.session
import pytest
from botocore.validate import ParamValidator
from typer.testing import CliRunner, Result

from scripts.cli.app import app
from scripts.common import progress, s3
from scripts.common.paths import ROOT
from scripts.deployment.outputs import Deployment
from scripts.models import training_jobs
from scripts.models.training_jobs import Plan
from scripts.operations.environment import LocalEnvironment
from scripts.operations.local_stack import training_python
from training_scripts import artifact
from training_scripts.synthetic import generator

BUCKET = "scones-local-123456789012-us-east-1"
PROGRAM = """
import os, pathlib, sys, time
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
model = pathlib.Path(os.environ["SM_MODEL_DIR"])
for epoch in (1, 2):
    print(f"fold-0 epoch={epoch}/2 loss={1 / epoch:.4f} seconds=0")
(model / "half").write_text("half a model")
match arguments.get("--does"):
    case "fail":
        sys.exit("training failed: the loss became nan in epoch 2")
    case "hang":
        time.sleep(600)
    case "nothing":
        (model / "half").unlink()
print("cross_validation accuracy=0.9700")
"""


def allowing(what: dict[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", **what}})


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A one-machine AWS with what a training job needs of a deployment: the bucket."""
    folder = tmp_path_factory.mktemp("aws")
    command = [sys.executable, "-m", "scripts.local_aws", "--state-dir", str(folder), "--wait-scale", "0.01"]
    command += ["--image", f"pytorch={training_python()}", "--log", str(folder / "log")]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert server.stdout
    server.stdout.readline()
    facts = json.loads((folder / "local_aws.json").read_text(encoding="utf-8"))
    outputs = {
        "prefix": "scones-local",
        "region": "us-east-1",
        "bucket": BUCKET,
        "key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "training_role_arn": "arn:aws:iam::123456789012:role/scones-local-training",
        "training_image_uri": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.14.0",
    }
    variables = {
        "AWS_ENDPOINT_URL": facts["endpoint_url"],
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    deployed = Deployment(outputs, variables)
    deployed.client("s3").create_bucket(Bucket=BUCKET)
    iam, role = deployed.client("iam"), "scones-local-training"
    sagemaker = {"Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=allowing(sagemaker))
    everything = allowing({"Action": "*", "Resource": "*"})
    iam.put_role_policy(RoleName=role, PolicyName="permissions", PolicyDocument=everything)
    yield deployed
    server.terminate()
    server.communicate(timeout=30)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder <class>/<file>; what is in the files matters only to train.py itself."""
    for label in ("bicycle", "motorcycle"):
        path = tmp_path / "pictures" / label / "1.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(label.encode())
    return tmp_path / "pictures"


@pytest.fixture
def scones_train(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Calls `scones train` with a program that needs no PyTorch in place of train.py."""
    monkeypatch.setattr(LocalEnvironment, "deployment", lambda _: deployment)
    monkeypatch.setattr(training_jobs, "check_interpreter", lambda *_: None)
    monkeypatch.setattr(training_jobs, "source_archive", small_program)
    # Names of jobs carry the second they were submitted in.
    time.sleep(1)
    return lambda *arguments, **more: CliRunner().invoke(app, ["train", *map(str, arguments)], **more)


def small_program() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("training_scripts/train.py")
        member.size = len(PROGRAM.encode())
        tar.addfile(member, io.BytesIO(PROGRAM.encode()))
    return buffer.getvalue()


def keys(deployment: Deployment, prefix: str) -> list[str]:
    listed = deployment.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return [each["Key"] for each in listed.get("Contents", ())]


def interrupt_once(monkeypatch: pytest.MonkeyPatch, deployment: Deployment) -> None:
    """The next pause while a job trains ends in Ctrl-C, as a person would press it."""
    interrupts = iter([KeyboardInterrupt()])

    def pause(seconds: float) -> None:
        jobs = deployment.client("sagemaker").list_training_jobs(StatusEquals="InProgress")
        if any(job["SecondaryStatus"] == "Training" for job in jobs["TrainingJobSummaries"]):
            for interrupt in interrupts:
                raise interrupt
        time.sleep(min(seconds, 0.2))

    monkeypatch.setattr(progress, "time", type("Clock", (), {"sleep": staticmethod(pause)}))


def test_a_job_ends_with_its_artifact_and_the_next_command(
    scones_train: Callable[..., Result], pictures: Path, deployment: Deployment
) -> None:
    result = scones_train("--data", pictures)

    assert result.exit_code == 0, result.stderr
    uri = result.stdout.strip()
    assert uri.startswith(f"s3://{BUCKET}/training/scones-local-training-")
    assert keys(deployment, uri.removeprefix(f"s3://{BUCKET}/"))
    assert "fold-0 epoch=2/2 loss=0.5000" in result.stderr
    assert f"Next: scones promote {uri} --env local --frozen s3://{BUCKET}/training/data/" in result.stderr


def test_json_gives_job_artifact_and_metrics(scones_train: Callable[..., Result], pictures: Path) -> None:
    result = scones_train("--data", pictures, "--json", "--set", "epochs=2")

    facts = json.loads(result.stdout)
    assert facts["status"] == "Completed"
    assert facts["metrics"] == {"train:epoch": 2, "train:loss": 0.5, "validation:accuracy": 0.97}


def test_what_was_uploaded_is_not_uploaded_again(deployment: Deployment, pictures: Path) -> None:
    jobs, seen = training_jobs.TrainingJobs(deployment), list[str]()
    (pictures / "bicycle" / "2.png").write_bytes(b"another")

    first = jobs.provide(str(pictures), lambda text, _: seen.append(text))
    assert seen == ["Uploading: bicycle/1.png", "Uploading: bicycle/2.png", "Uploading: motorcycle/1.png"]
    seen.clear()
    second = jobs.provide(str(pictures), lambda text, _: seen.append(text))

    assert (first, seen) == (second, [])
    assert first.startswith(f"s3://{BUCKET}/training/data/")


def test_a_failed_job_gives_its_reason_and_last_lines(
    scones_train: Callable[..., Result], pictures: Path, deployment: Deployment
) -> None:
    """And leaves no model."""
    result = scones_train("--data", pictures, "--set", "does=fail")

    assert result.exit_code == 1
    assert "failed: AlgorithmError" in result.stderr
    assert "the loss became nan in epoch 2" in result.stderr
    assert "Its log (group /aws/sagemaker/TrainingJobs) ends with" in result.stderr
    name = result.stderr.split("The training job ")[1].split()[0]
    assert [key.rsplit("/", 1)[-1] for key in keys(deployment, f"training/{name}/")] == ["sourcedir.tar.gz"]


def test_a_job_that_writes_nothing_has_no_model(scones_train: Callable[..., Result], pictures: Path) -> None:
    result = scones_train("--data", pictures, "--set", "does=nothing")

    assert result.exit_code == 1
    assert "left no finished model: it wrote none" in result.stderr


def test_ctrl_c_can_stop_the_job(
    scones_train: Callable[..., Result],
    pictures: Path,
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupt_once(monkeypatch, deployment)

    result = scones_train("--data", pictures, "--set", "does=hang", input="y\n")

    assert result.exit_code == 1
    assert "left no finished model: somebody stopped it" in result.stderr
    name = result.stderr.split("The training job ")[1].split()[0]
    described = deployment.client("sagemaker").describe_training_job(TrainingJobName=name)
    assert described["TrainingJobStatus"] == "Stopped"
    assert keys(deployment, f"training/{name}/output/") == []


def test_ctrl_c_can_leave_the_job_running(
    scones_train: Callable[..., Result],
    pictures: Path,
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupt_once(monkeypatch, deployment)

    result = scones_train("--data", pictures, "--set", "does=hang", "--json", input="n\n")

    assert result.exit_code == 0
    job = json.loads(result.stdout.splitlines()[-1])["job"]
    sagemaker = deployment.client("sagemaker")
    assert sagemaker.describe_training_job(TrainingJobName=job)["TrainingJobStatus"] == "InProgress"
    assert f"stop-training-job --training-job-name {job}" in result.stderr
    sagemaker.stop_training_job(TrainingJobName=job)


def test_a_detached_job_is_submitted_and_no_more(scones_train: Callable[..., Result], pictures: Path) -> None:
    result = scones_train("--data", pictures, "--detach", "--json")

    facts = json.loads(result.stdout)
    assert facts["status"] == "InProgress"
    assert facts["artifact"] == f"s3://{BUCKET}/training/{facts['job']}/output/model.tar.gz"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("nowhere.tar.gz", "nowhere.tar.gz is not there"),
        (f"s3://{BUCKET}/training/data/nothing/", "holds nothing"),
        ("s3://elsewhere/pictures/", "is out of reach"),
    ],
)
def test_an_empty_channel_is_reported_before_submitting(
    scones_train: Callable[..., Result], data: str, message: str
) -> None:
    result = scones_train("--data", data)

    assert result.exit_code == 1
    assert message in result.stderr


def test_an_empty_folder_is_not_data(scones_train: Callable[..., Result], tmp_path: Path) -> None:
    assert "is an empty folder" in scones_train("--data", tmp_path).stderr


def test_a_hyperparameter_needs_a_name_and_a_value(
    scones_train: Callable[..., Result], pictures: Path
) -> None:
    result = scones_train("--data", pictures, "--set", "epochs:5")

    assert result.exit_code == 2
    assert "NAME=VALUE" in result.stderr


def test_without_pytorch_the_command_to_install_it_is_named(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(
        "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'torch'\" >&2\nexit 1\n", encoding="utf-8"
    )
    bare.chmod(0o755)

    with pytest.raises(training_jobs.ToolsMissing, match="run `make setup-train`") as error:
        training_jobs.check_interpreter(str(bare), "small")
    assert "No module named 'torch'" in str(error.value)


@pytest.mark.parametrize("spot", [False, True])
def test_the_request_is_one_that_botocore_knows(
    deployment: Deployment, spot: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCONES_COMMIT", "abc123")
    plan = Plan(
        f"s3://{BUCKET}/training/data/x/", f"s3://{BUCKET}/training/data/y/", {"epochs": 5}, spot=spot
    )
    request = training_jobs.request(deployment, "scones-local-training-20260101-000000", plan)

    shape = botocore.session.get_session().get_service_model("sagemaker").operation_model("CreateTrainingJob")
    report = ParamValidator().validate(request, shape.input_shape)

    assert not report.has_errors(), report.generate_report()
    assert request["ResourceConfig"]["InstanceType"] == "ml.g6.xlarge"
    assert request["HyperParameters"]["epochs"] == "5"
    assert request["Environment"] == {"SCONES_COMMIT": "abc123"}
    assert [channel["ChannelName"] for channel in request["InputDataConfig"]] == ["training", "pretrain"]
    assert ("CheckpointConfig" in request, "EnableManagedSpotTraining" in request) == (spot, spot)


def test_reviewed_pictures_are_a_channel_of_their_own(deployment: Deployment) -> None:
    place = f"s3://{BUCKET}/training/data/reviewed-0123456789abcdef/"
    plan = Plan(f"s3://{BUCKET}/training/data/x/", reviewed=place)

    channels = training_jobs.request(deployment, "scones-local-training-20260101-000000", plan)[
        "InputDataConfig"
    ]

    found = {each["ChannelName"]: each["DataSource"]["S3DataSource"]["S3Uri"] for each in channels}
    assert found["reviewed"] == place


def test_the_source_archive_has_all_that_train_imports_and_no_model() -> None:
    content = training_jobs.source_archive()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        names = tar.getnames()
        file = tar.extractfile("requirements.txt")
        assert file
        wanted = file.read().decode()

    assert {"training_scripts/train.py", "functions/common/picture.py", "functions/__init__.py"} <= set(names)
    assert not [name for name in names if name.endswith(".gz")]
    packages = {line.partition("==")[0] for line in wanted.splitlines() if not line.startswith(" ")}
    assert {"onnx", "onnxruntime", "pillow", "rich"} <= packages
    assert "torch" not in packages
    assert wanted == (ROOT / "requirements" / "job.txt").read_text()
    assert training_jobs.source_archive() == content


@pytest.mark.slow
def test_train_itself_runs_as_a_job_and_its_artifact_is_one_that_serves(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        training_jobs.check_interpreter(training_python(), "small")
    except training_jobs.ToolsMissing as error:
        pytest.skip(str(error))
    monkeypatch.setattr(LocalEnvironment, "deployment", lambda _: deployment)
    labels = {"bicycle": "bicycle", "motorcycle": "motorcycle", "apple": "other", "bed": "other"}
    for label, drawn in labels.items():
        for seed in range(8):
            path = tmp_path / "data" / "train" / label / f"{seed}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            generator.draw(drawn, seed, 32).save(path)
    tiny = {
        "epochs": 2,
        "folds": 2,
        "drawn": 20,
        "drawn_per_epoch": 10,
        "neither_per_epoch": 6,
        "batch_size": 10,
    }
    settings = [word for name, value in tiny.items() for word in ("--set", f"{name}={value}")]

    result = CliRunner().invoke(app, ["train", "--data", str(tmp_path / "data"), "--json", *settings])

    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    description, _ = artifact.read_archive(s3.download(facts["artifact"], tmp_path, deployment.client("s3")))
    assert (description["name"], description["labels"]) == (
        facts["job"],
        ["bicycle", "motorcycle", "neither"],
    )
    assert description["hyperparameters"]["epochs"] == 2
    assert description["commit"] == artifact.commit()
    assert facts["metrics"]["train:epoch"] == 2
