"""Random execution inputs from what is in the bucket."""

import random
from typing import Any

from scripts.common.s3 import list_objects
from scripts.workflow.bucket_layout import NoSuchPicture, execution_input
from scripts.workflow.client import Workflow


def draw(workflow: Workflow, prefix: str, count: int, seed: int | None) -> list[dict[str, Any]]:
    """At most `count` inputs of different objects; the same ones for the same seed and bucket.

    Each names the object's present version and a `run` above that of its row, if it has one: an
    execution with this input decides again instead of ending as a duplicate. Raises NoSuchPicture
    if there is no object.
    """
    bucket = workflow.deployment.bucket
    keys = (each["Key"] for each in list_objects(workflow.s3, bucket, prefix) if each["Size"])
    rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
    # Reservoir sampling (Vitter 1985, algorithm R): memory for `count` keys, however many there
    # are.
    chosen: list[str] = []
    for seen, key in enumerate(keys):
        if seen < count:
            chosen.append(key)
        elif (place := rng.randint(0, seen)) < count:
            chosen[place] = key
    if not chosen:
        raise NoSuchPicture(
            f"s3://{bucket}/{prefix} holds no object: upload pictures, or choose another --prefix."
        )
    rng.shuffle(chosen)
    inputs = []
    for key in chosen:
        picture = workflow.find(f"s3://{bucket}/{key}")
        row = workflow.row(picture.uri, picture.s3_version_id)
        inputs.append(execution_input(picture, row["run"] + 1 if row else 0))
    return inputs
