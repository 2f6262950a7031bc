"""How often the drift check alarms: `.venv/bin/python -m tests.performance.benchmarks.drift_power [PICTURES] [WINDOWS]`.

PICTURES is a number of drawn ones (1,000), or a CIFAR-100 archive, whose training rows are used. They are read by the function's
decoder and answered by the shipped model's serving program, once as they are and once each darker, blurred, and both.
Baselines (of 1,000 pictures) and windows are drawn from these with replacement, a new baseline for each window, so
that the chance in both counts. A row shows in which share of WINDOWS (1,000) the function's own judgement is "drifted".
"""

import io
import itertools
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from functions.common import baseline
from functions.common.baseline import Picture
from functions.common.picture import read_picture, statistics
from functions.report_drift.features import features
from functions.report_drift.judgement import judge
from scripts.common.paths import SHIPPED_MODEL
from scripts.workflow.stream import drawn
from training_scripts.data import readers
from training_scripts.evaluation.serving_client import ask, serving_archive

SIZES = (50, 100, 200, 500, 1000)
BASELINE = 1000
DARK, DUSK = 0.4, 0.8
BLUR = 0.02

Change = Callable[[Image.Image], Image.Image]


def dark(image: Image.Image) -> Image.Image:
    """40 % of the light."""
    return ImageEnhance.Brightness(image).enhance(DARK)


def blurred(image: Image.Image) -> Image.Image:
    """Out of focus by a fiftieth of the picture's width."""
    return image.filter(ImageFilter.GaussianBlur(BLUR * image.width))


CHANGES: dict[str, Change] = {
    "as they are": lambda image: image,
    "80 % of the light": lambda image: ImageEnhance.Brightness(image).enhance(DUSK),
    "dark": dark,
    "blurred": blurred,
    "dark and blurred": lambda image: blurred(dark(image)),
}


def answered(images: list[Image.Image], port: int, labels: list[str]) -> list[Picture]:
    """What the ledger would hold of the pictures."""
    read = []
    for image in images:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        read.append(read_picture(buffer.getvalue(), 32))
    answers = ask(port, [np.asarray(it.image) for it in read])
    return [
        {
            "label": labels[answer.argmax()],
            "confidence": float(answer.max()),
            "image": {"width": it.width, "height": it.height, **statistics(it.image)._asdict()},
        }
        for it, answer in zip(read, answers, strict=True)
    ]


def images_of(pictures: str, classes: list[str]) -> list[Image.Image]:
    """Drawn pictures, or an archive's of the classes."""
    if pictures.isdigit():
        stream = itertools.islice(drawn(1), int(pictures))
        return [Image.open(io.BytesIO(it.make())).convert("RGB") for it in stream]
    rows = readers.read_pictures(Path(pictures), "train")
    return [Image.fromarray(row.pixels) for row in rows if row.label in classes]


def streams(pictures: str, port: int, description: dict[str, Any]) -> Iterator[tuple[str, list[Picture]]]:
    """Each kind of stream by name: what its windows are drawn from."""
    images = images_of(pictures, description["classes_of_interest"])
    labels = description["labels"]
    pools = {name: answered([change(it) for it in images], port, labels) for name, change in CHANGES.items()}
    usual = pools["as they are"]
    yield from pools.items()
    yield "a fifth dark and blurred", usual * 4 + pools["dark and blurred"]
    one, other = ([it for it in usual if it["label"] == label] for label in labels[:2])
    rng = random.Random(1)  # noqa: S311 - reproducible on purpose
    yield f"4 of 5 are a {labels[0]}", rng.choices(one, k=4000) + rng.choices(other, k=1000)


def alarms(windows: int, size: int, usual: list[Picture], pool: list[Picture], model: dict[str, Any]) -> int:
    rng = random.Random(f"{size}-{len(pool)}")  # noqa: S311 - reproducible on purpose
    count = 0
    for _ in range(windows):
        sample = rng.choices(usual, k=BASELINE)
        expected = baseline.describe(sample, model["classes_of_interest"], model["threshold"])
        count += any(it.drifted for it in judge(features(rng.choices(pool, k=size), expected)))
    return count


def main(pictures: str = "1000", windows: str = "1000") -> None:
    with serving_archive(SHIPPED_MODEL) as (port, model):
        pools = dict(streams(pictures, port, model))
    print(f"| stream | {' | '.join(f'{size} pictures' for size in SIZES)} |")
    print(f"|---|{'---|' * len(SIZES)}")
    for name, pool in pools.items():
        counts = [alarms(int(windows), size, pools["as they are"], pool, model) for size in SIZES]
        shares = [count / int(windows) for count in counts]
        print(f"| {name} | {' | '.join(f'{share:.3f}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
