"""scones demo: the whole workflow on this machine, from nothing to alerts and back to nothing."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from scripts.cli.console import (
    err,
    errors_explained,
    interruption_explained,
    out,
    outcome_line,
    printable,
    steps,
)
from scripts.common.paths import SHIPPED_MODEL, WORK
from scripts.deployment.outputs import Deployment
from scripts.models.learning import classes_of
from scripts.models.learning import learn as learn_photographs
from scripts.operations.local_stack import LocalStack
from scripts.report import build
from scripts.report.records import Truths
from scripts.workflow import demo_pictures
from scripts.workflow.client import Outcome, Workflow
from scripts.workflow.demo_pictures import CLASSES, LEAST_ACCURACY, Sample, Summary

ALL_KINDS = ("ACCEPTED", "LOW_CONFIDENCE", "REJECTED")
EVENT_SECONDS = 60

Shown = list[tuple[Sample, Outcome]]


def demo(
    images: Annotated[
        Path | None, typer.Option(help="Show your own pictures: a folder.", exists=True, file_okay=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Show the test rows of a CIFAR-100 archive.", exists=True, dir_okay=False),
    ] = None,
    learn: Annotated[
        Path | None,
        typer.Option(
            help="First learn from your own photographs: a folder with a folder for each class. Needs --images.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which pictures the generator draws.")] = 1,
) -> None:
    """Deploy everything to this machine, classify pictures, show the alerts, and stop it all.

    Without options the pictures are drawn. Exit code 0 only if every outcome is the expected one.
    """
    if images and data:
        raise typer.BadParameter("give --images or --data, not both")
    if learn and not images:
        raise typer.BadParameter(
            "give --images as well: a folder of pictures to classify with what was learnt"
        )
    stack = LocalStack(WORK / "demo")
    with errors_explained(), interruption_explained(), tempfile.TemporaryDirectory() as scratch:
        classes = classes_of(learn) if learn else CLASSES
        samples = _samples(images, data, Path(scratch), seed, classes)
        began = time.monotonic()
        model = learn_photographs(learn, Path(scratch)) if learn else SHIPPED_MODEL
        with steps() as progress:
            deployment = stack.bring_up(progress, model=model)
        try:
            workflow = Workflow(deployment)
            out.print(f"The stack is up after {time.monotonic() - began:.0f} s, on this machine alone.\n")
            shown, summary = _show(workflow, samples, began)
            arrived = _drop_into_bucket(workflow, samples[0])
            _show_alerts(stack)
            report = _report(deployment, shown, stack.folder / "report.html")
        finally:
            stack.stop_server()
    _say_where_next(report, learn)
    if not (
        arrived and _is_as_expected(summary, needs_all_kinds=images is None, needs_accuracy=data is not None)
    ):
        raise typer.Exit(2)


def _samples(
    images: Path | None, data: Path | None, scratch: Path, seed: int, classes: Sequence[str]
) -> list[Sample]:
    if images:
        return demo_pictures.from_folder(images, classes)
    if data:
        return demo_pictures.from_archive(data, scratch)
    return demo_pictures.drawn(scratch, seed)


def _show(workflow: Workflow, samples: list[Sample], began: float) -> tuple[Shown, Summary]:
    width = max(len(sample.path.name) for sample in samples)
    out.print(f"{'picture':<{width}}  {'label':<12} {'conf.':>6}  {'decision':<14} {'time':>8}", style="bold")
    shown: Shown = []
    for sample, outcome in zip(samples, workflow.classify_all(str(s.path) for s in samples), strict=True):
        shown.append((sample, outcome))
        surprise = (
            ""
            if sample.is_as_expected(outcome)
            else f"  [red]expected {' or '.join(sorted(sample.expected))}[/]"
        )
        out.print(outcome_line(outcome, width) + surprise)
        if len(shown) == 1:
            first = time.monotonic() - began
    summary = demo_pictures.summarise(shown)
    counts = ", ".join(f"{summary.counts[kind]} {kind}" for kind in (*ALL_KINDS, "FAILED"))
    last = time.monotonic() - began
    out.print(
        f"\n{len(shown)} pictures: {counts}. First classified after {first:.0f} s, last after {last:.0f} s."
    )
    if summary.accuracy is not None:
        out.print(
            f"Of {summary.labelled} pictures with a known label {summary.right} were classified right "
            f"(accuracy {summary.accuracy:.3f}); {summary.accepted} were accepted "
            f"(share {summary.accepted / summary.labelled:.3f}), {summary.accepted_right} of those with the right label."
        )
    return shown, summary


def _drop_into_bucket(workflow: Workflow, sample: Sample) -> bool:
    """Upload a picture to incoming/ and watch: the bucket's event must start the workflow."""
    picture = workflow.upload(sample.path, "incoming")
    deadline = time.monotonic() + EVENT_SECONDS
    while (row := workflow.row(picture.uri, picture.s3_version_id)) is None:
        if time.monotonic() > deadline:
            err.print(
                f"[red]{printable(picture.uri)} was never classified: the bucket's event did not start the workflow.[/]"
            )
            return False
        time.sleep(0.1)
    out.print(
        f"\nDropped {picture.uri} into the bucket; its event started the workflow: {row['status']}, {row['label']}.",
        markup=False,
    )
    return True


def _show_alerts(stack: LocalStack) -> None:
    messages = stack.outbox()
    out.print(f"\nA subscriber received {len(messages)} alerts. The first of each category:")
    seen = set()
    for message in messages:
        category = message["attributes"].get("category")
        if category not in seen:
            seen.add(category)
            out.print(
                f"\n  To:      {message['subscriber']}\n  Subject: {message['subject']}\n", markup=False
            )
            out.print("\n".join(f"  {line}" for line in message["message"].splitlines()), markup=False)


def _report(deployment: Deployment, shown: Shown, to: Path) -> Path | None:
    """A report on the demonstration; None if the model was never asked."""
    truths = Truths(pictures={(outcome.uri, ""): sample.label for sample, outcome in shown if sample.label})
    try:
        with steps() as progress:
            build.make([], deployment, [], truths, to, progress, with_ledger=True)
    except build.NothingToShow:
        return None
    return to


def _is_as_expected(summary: Summary, needs_all_kinds: bool, needs_accuracy: bool) -> bool:
    complaints = [
        f"{outcome.source}: {outcome.status} ({outcome.error}: {outcome.reason}), expected {' or '.join(sorted(sample.expected))}"
        for sample, outcome in summary.surprises
    ]
    if needs_all_kinds:
        complaints += [f"no picture ended as {kind}" for kind in ALL_KINDS if not summary.counts[kind]]
    if needs_accuracy and (summary.accuracy or 0) < LEAST_ACCURACY:
        complaints.append(f"accuracy {summary.accuracy:.3f} is below {LEAST_ACCURACY}")
    for complaint in complaints:
        err.print(f"[red]not as expected:[/] {printable(complaint)}")
    return not complaints


def _say_where_next(report: Path | None, learnt_from: Path | None) -> None:
    out.print(
        "\nEverything is stopped again. Next:\n"
        "  make up                               keep the same stack running\n"
        "  .venv/bin/scones classify photo.jpg   run your own pictures through it; --path shows every state\n"
        "  docs/operations.md                    what each alert means and what to do\n"
        "  README.md                             the same on AWS"
    )
    if learnt_from is None:
        out.print(
            "\nThe shipped model is a demonstration. Twenty photographs of each class make one of your own:\n"
            "  make train DATA=FOLDER                FOLDER/<class>/<photograph>"
        )
    if report:
        out.print(f"\nThe report of this demonstration, for a browser: {report}", markup=False)
