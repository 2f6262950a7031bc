"""scones train: a training job, on a SageMaker instance or on this machine."""

import json
from typing import Annotated, Any

import typer

from functions.common.shown import shown
from scripts.cli import options
from scripts.cli.console import Steps, confirm, err, errors_explained, out, steps
from scripts.common.progress import wait_until
from scripts.deployment.environments import LOCAL
from scripts.models import training_jobs
from scripts.models.training_jobs import Plan, TrainingJobs, Update, Watch
from scripts.operations.environment import get_environment
from scripts.review import queue
from training_scripts.training.settings import Settings

POLL_SECONDS = (0.2, 2.0)


def train(  # noqa: PLR0913, PLR0917 - one for each option
    data: Annotated[
        str,
        typer.Option(
            help="s3://BUCKET/training/data/NAME/ as `scones stage` prints it, or an archive or folder."
        ),
    ],
    pretrain: Annotated[
        str | None,
        typer.Option(help="More labelled pictures, of any classes, to train the network's body on first."),
    ] = None,
    with_reviewed: Annotated[
        bool,
        typer.Option("--with-reviewed", help="Also train on what people have labelled by scones review."),
    ] = False,
    classes: Annotated[
        str | None,
        typer.Option(help="Classes to distinguish, in the order of the labels; train.py's by default."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A hyperparameter of train.py; may be given several times."
        ),
    ] = None,
    instance: Annotated[str, typer.Option(help="Type of the training instance on AWS.")] = "ml.g6.xlarge",
    spot: Annotated[
        bool,
        typer.Option(
            "--spot", help="Spot capacity: cheaper, may wait or be cut off; continues from checkpoints."
        ),
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Submit the job and leave it running.")] = False,
    environment: options.Env = LOCAL,
    as_json: options.AsJson = False,
) -> None:
    """Submit a training job and follow it to its model.

    Ctrl-C asks whether to stop the job or to leave it running. Exit code: 0 for a model (or a
    detached job), 1 for a job that could not be submitted, failed or was stopped.
    """
    hyperparameters = _hyperparameters(settings or [], classes)
    with errors_explained():
        env = get_environment(environment)
        if note := env.check_training(hyperparameters.get("architecture", Settings.architecture)):
            err.print(f"[yellow]{note}[/]")
        deployment = env.deployment()
        jobs = TrainingJobs(deployment)
        with steps() as progress:
            places = [jobs.provide(place, progress) if place else None for place in (data, pretrain)]
            reviewed = queue.freeze(deployment) if with_reviewed else None
        assert places[0]
        name = jobs.submit(Plan(places[0], places[1], hyperparameters, instance, spot, reviewed))
        err.print(f"Job {name}: {jobs.console_url(name) if env.has_console else 'on this machine'}")
        if detach:
            _say_detached(jobs, name, as_json)
        else:
            _follow(jobs, name, as_json)
        err.print(
            f"Next: scones promote {jobs.expected_artifact(name)} --env {environment} --frozen {places[0]}",
            markup=False,
        )


def _follow(jobs: TrainingJobs, name: str, as_json: bool) -> None:
    watch, update = jobs.watch(name), None
    while update is None:
        try:
            with steps() as progress:
                update = _until_end(watch, progress)
        except KeyboardInterrupt:
            if not _wants_to_stop():
                _say_detached(jobs, name, as_json)
                return
            jobs.stop(name)
            err.print("Stopping the job: it has two minutes to end by itself.")
    _say_done(name, update, watch.artifact(update.description), as_json)


def _until_end(watch: Watch, progress: Steps) -> Update:
    """Show a job's news until it has ended; returns the last of them."""
    doing, share = "", None

    def last_news() -> Update | None:
        nonlocal doing, share
        update = watch.news()
        for line in update.lines:
            err.print(line, markup=False)
            doing, share = training_jobs.share_done(line) or (doing, share)
        loss = update.metrics.get("train:loss")
        running = f": {doing}" + (f", loss {loss:.4f}" if loss is not None else "") if doing else ""
        in_training = update.stage == "Training"
        progress(update.stage + (running if in_training else ""), share if in_training else None)
        return update if update.description["TrainingJobStatus"] in training_jobs.ENDED else None

    return wait_until(last_news, *POLL_SECONDS)


def _wants_to_stop() -> bool:
    """Ask what to do with the job; a second Ctrl-C, or nobody to ask, leaves it running."""
    try:
        return confirm("\nStop the job? Otherwise it is left running", default=False)
    except typer.Abort:
        return False


def _hyperparameters(settings: list[str], classes: str | None) -> dict[str, Any]:
    """NAME=VALUE texts as hyperparameters: numbers if they are numbers, else text."""
    chosen: dict[str, Any] = {"classes": classes} if classes else {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"{shown(text)} is not NAME=VALUE, such as epochs=5", param_hint="--set")
        try:
            chosen[name] = json.loads(value)
        except ValueError:
            chosen[name] = value
    return chosen


def _say_detached(jobs: TrainingJobs, name: str, as_json: bool) -> None:
    artifact = jobs.expected_artifact(name)
    if as_json:
        print(json.dumps({"job": name, "status": "InProgress", "artifact": artifact}))
    err.print(
        f"The job {name} goes on by itself; its model will be {artifact}\n"
        f"State: aws sagemaker describe-training-job --training-job-name {name}\n"
        f"End:   aws sagemaker stop-training-job --training-job-name {name}"
    )


def _say_done(name: str, update: Update, artifact: str, as_json: bool) -> None:
    seconds = update.description["TrainingTimeInSeconds"]
    if as_json:
        facts = {"job": name, "status": "Completed", "artifact": artifact, "seconds": seconds}
        print(json.dumps(facts | {"metrics": update.metrics}))
    else:
        err.print(f"Trained in {seconds} s. The artifact:")
        out.print(artifact, markup=False)
