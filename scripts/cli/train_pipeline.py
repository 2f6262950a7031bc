"""`make train`: from an archive of pictures to one picture that the new model classified.

Each step is the `scones` command that a person would type, shown as it is run.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

from scripts.cli.commands.promote import REFUSED
from scripts.cli.console import err, out, outcome_line, steps
from scripts.common.s3 import list_objects, parse_uri
from scripts.deployment.outputs import NotDeployed
from scripts.models.learning import classes_of
from scripts.models.training_jobs import fingerprint
from scripts.operations.local_stack import default_stack
from scripts.workflow.client import Workflow
from training_scripts.quick.backbone import SIDE
from training_scripts.terminal import cleaned
from training_scripts.training.settings import QUICK

# The shipped model's.
CLASSES = "bicycle,motorcycle"


class StepFailed(Exception):
    """A command of the chain failed; it has said why itself."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


def scones(*words: str, quiet: bool = False) -> str:
    """Run one command. Its output is returned if `quiet`, else it goes to the terminal."""
    err.print(f"\n$ scones {shlex.join(words)}", markup=False)
    command = [sys.executable, "-m", "scripts.cli.app", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE if quiet else None, text=True, check=False)
    if done.returncode:
        raise StepFailed(done.returncode)
    return done.stdout or ""


def recipe(data: Path, classes: str | None) -> tuple[str, list[str], list[str]]:
    """(classes, words for `scones stage`, words for `scones train`): a folder of photographs is learnt from quickly."""
    if not data.is_dir():
        return classes or CLASSES, [], []
    return classes or ",".join(classes_of(data)), ["--size", str(SIDE)], ["--set", f"architecture={QUICK}"]


def chain(data: Path, classes: str | None, training: list[str]) -> None:
    """Stage, train, evaluate, promote, deploy, classify.

    Args:
        data: an archive or folder of labelled pictures.
        classes: those to distinguish, with commas; by default the folder's, or the shipped model's.
        training: further words for `scones train`.

    Raises:
        StepFailed: a command failed, or the gate refused the model.
    """
    classes, staging, learning = recipe(data, classes)
    scones("up", quiet=True)
    deployment = default_stack().deployment()
    name = f"{classes.replace(',', '-').replace('_', '-')}-{fingerprint(data)[:8]}"
    place = f"s3://{deployment.bucket}/training/data/{name}/"
    scones("stage", "--classes", classes, "--source", str(data), "--name", name, *staging)
    answer = scones(
        "train", "--data", place, "--classes", classes, *learning, *training, "--json", quiet=True
    )
    job = json.loads(answer)
    scones("evaluate", job["artifact"], "--data", place)
    # Other classes are named on purpose; without this, the gate would refuse them as an accident.
    changes = [] if classes == CLASSES else ["--new-classes"]
    try:
        scones("promote", job["artifact"], "--env", "local", "--frozen", place, *changes)
    except StepFailed as error:
        if error.code == REFUSED:
            err.print(_after_refusal(data, job["artifact"], [*learning, *training]), markup=False)
        raise
    err.print("\nApplying Terraform again: the promoted model reaches the endpoint")
    with steps() as progress:
        default_stack().update(progress)
    _classify_one(place, classes.partition(",")[0], job["job"])
    err.print("\nThe stack goes on running. Next: scones classify PICTURE...   End: scones down")


def _after_refusal(data: Path, artifact: str, training: list[str]) -> str:
    """What a refusal means, and what to try next."""
    text = (
        "\nThe gate refused the new model for the reasons above, and nothing changed: the current model goes on "
        f"answering.\nThe refused one stays at {artifact}\n"
    )
    if f"architecture={QUICK}" in training:
        return (
            text + "More photographs of what it confused would help; the figures above say which those are."
        )
    if "--pretrain" in training:
        return text + 'Train longer or otherwise: SET="epochs=100". docs/model-card.md says what was tried.'
    return text + (
        "It was trained on these pictures only. The same recipe with CIFAR-10's pictures as well gives the shipped model:\n"
        f"  make train DATA={shlex.quote(str(data))} PRETRAIN=cifar-10-jpeg.tar.xz"
    )


def _classify_one(place: str, label: str, model: str) -> None:
    """Classify one picture of the test split, and check that the new model answered it."""
    workflow = Workflow(default_stack().deployment())
    bucket, prefix = parse_uri(place)
    first = next(list_objects(workflow.s3, bucket, f"{prefix}test/{label}/"))
    outcome = workflow.classify(f"s3://{bucket}/{first['Key']}")
    row = workflow.row(outcome.uri, outcome.version) or {}
    out.print(f"\n{outcome_line(outcome, 0)}  (a {label} by its label, answered by {row.get('model')})")
    if row.get("model") != model:
        raise NotDeployed(f"The picture was answered by {row.get('model')}, not by the new model {model}.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.cli.train_pipeline", description=__doc__)
    parser.add_argument("data", type=Path, help="an archive or a folder of labelled pictures")
    parser.add_argument("--classes")
    arguments, training = parser.parse_known_args()
    if not arguments.data.exists():
        parser.error(f"{arguments.data} is not there: write make train DATA=ARCHIVE")
    try:
        chain(arguments.data, arguments.classes, training)
    except StepFailed as error:
        raise SystemExit(error.code) from error
    except NotDeployed as error:
        raise SystemExit(cleaned(str(error))) from error


if __name__ == "__main__":
    main()
