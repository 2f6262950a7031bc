"""scones stage: labelled pictures into the deployment's bucket or a folder, ready to train on."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from scripts.cli import options
from scripts.cli.console import err, errors_explained, out, steps
from scripts.common.paths import WORK
from scripts.deployment.environments import LOCAL
from scripts.operations.environment import get_environment
from training_scripts.data import readers, staging, stores
from training_scripts.data.download import official_archive
from training_scripts.quick.backbone import SIDE
from training_scripts.training.settings import QUICK


def stage(  # noqa: PLR0913, PLR0917 - one for each option
    classes: Annotated[str, typer.Option(help="Classes to distinguish, in the order of the labels.")] = (
        "bicycle,motorcycle"
    ),
    source: Annotated[
        list[Path] | None,
        typer.Option(
            help="cifar-100-python.tar.gz, an archive or a folder of <class>/<file>; may be given several "
            "times. Downloaded from its authors by default.",
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="A folder, instead of the bucket.", file_okay=False)] = None,
    name: Annotated[
        str | None, typer.Option(help="The set's name in the bucket; the classes by default.")
    ] = None,
    environment: options.Env = LOCAL,
    size: Annotated[
        int, typer.Option(min=8, max=240, help="Side of the pictures in pixels: 32, or 224 to train lite0.")
    ] = readers.SIDE,
    neither: Annotated[
        int,
        typer.Option(min=0, help='At most this many pictures of other classes, as "neither", in each split.'),
    ] = 2000,
) -> None:
    """Choose classes, scale the pictures to the model's size and store them for training.

    The set goes to s3://BUCKET/training/data/NAME/ with a manifest (split, label, sha256, source)
    and .lst files. Run it again after an interruption: what is there is not copied twice.
    """
    chosen = [text.strip() for text in classes.split(",") if text.strip()]
    with errors_explained():
        store = _store(to, name or "-".join(chosen).replace("_", "-").lower(), environment)
        with steps() as progress:
            sources = source or [official_archive(WORK / "downloads", progress)]
            staged = staging.stage_pictures(
                sources, chosen, store, neither=neither, side=size, progress=progress
            )
    for problem in staged.left_out:
        err.print(f"left out: {problem}", markup=False)
    out.print(_table(staged))
    out.print(
        f"{staged.place}: {staged.copied} files copied, {staged.there_already} were there already.",
        markup=False,
    )
    quick = f" --set architecture={QUICK}" if size == SIDE else ""
    err.print(f"Next: scones train --data {staged.place} --classes {','.join(chosen)}{quick}", markup=False)


def _store(to: Path | None, name: str, environment: str) -> stores.Store:
    if to:
        return stores.Folder(to)
    deployment = get_environment(environment).deployment()
    return stores.Bucket(deployment.client("s3"), deployment.bucket, name)


def _table(staged: staging.Staged) -> Table:
    table = Table("class", "train", "test", box=None)
    for label in dict.fromkeys(label for _, label in staged.counts):
        table.add_row(label, *(str(staged.counts.get((split, label), 0)) for split in ("train", "test")))
    return table
