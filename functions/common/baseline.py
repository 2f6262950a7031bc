"""What a model's pictures look like in a few numbers, in the bucket beside its artifact.

`models/<model>/baseline.json` describes `count` accepted pictures: their share of all (accepted_share),
class_mix, deciles (11 numbers) of confidence, brightness, contrast and sharpness, and, if made from the
ledger, size_mix. It also has the classes of interest and the threshold by which they were accepted: the
model's own, whatever threshold the deployment sets. `scones promote` writes it from model.json,
`scones baseline` from the ledger. Pictures are dicts like the ledger's rows: label, confidence,
image {width, height, brightness, contrast, sharpness}.
"""

import statistics
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

IMAGE_FACTS = ("brightness", "contrast", "sharpness")
DECILES = ("confidence", *IMAGE_FACTS)

Picture = dict[str, Any]
Baseline = dict[str, Any]


def key(model: str) -> str:
    """The baseline's place in the bucket."""
    return f"models/{model}/baseline.json"


def accepted(pictures: Iterable[Picture], labels: Collection[str], threshold: float) -> list[Picture]:
    """Those whose label is one of the labels, with at least that confidence."""
    return [each for each in pictures if each["label"] in labels and each["confidence"] >= threshold]


def values(pictures: Iterable[Picture], name: str) -> list[float]:
    """One of DECILES of each picture."""
    return [(each if name == "confidence" else each["image"])[name] for each in pictures]


def size_class(picture: Picture) -> str:
    """The largest power of two that is not above the picture's number of pixels."""
    pixels = picture["image"]["width"] * picture["image"]["height"]
    return str(1 << (pixels.bit_length() - 1))


def describe(pictures: list[Picture], labels: list[str], threshold: float) -> Baseline:
    """The baseline that pictures make, of which at least two must be accepted."""
    taken = accepted(pictures, labels, threshold)
    mix = Counter(each["label"] for each in taken)
    sizes = Counter(map(size_class, taken))
    return {
        "classes_of_interest": labels,
        "threshold": threshold,
        "count": len(taken),
        "accepted_share": round(len(taken) / len(pictures), 4),
        "class_mix": {label: round(mix[label] / len(taken), 4) for label in labels},
        **{name: _deciles(values(taken, name)) for name in DECILES},
        "size_mix": {size: round(count / len(taken), 4) for size, count in sorted(sizes.items())},
    }


def _deciles(numbers: list[float]) -> list[float]:
    inner = statistics.quantiles(numbers, n=10, method="inclusive")
    return [round(number, 4) for number in (min(numbers), *inner, max(numbers))]
