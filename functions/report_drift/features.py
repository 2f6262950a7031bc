"""What is compared with the baseline, and how a person reads it."""

import statistics
from collections import Counter
from collections.abc import Sequence

from functions.common.baseline import DECILES, Baseline, Picture, accepted, size_class, values
from functions.report_drift.judgement import Feature, decile_counts

# With fewer accepted pictures only their share is judged, which then says enough.
LEAST_ACCEPTED = 30


def features(pictures: Sequence[Picture], baseline: Baseline) -> list[Feature]:
    """The features of a window (not empty): the share of accepted pictures, and what those look like."""
    taken = accepted(pictures, baseline["classes_of_interest"], baseline["threshold"])
    share, count = baseline["accepted_share"], baseline["count"]
    counts = [len(taken), len(pictures) - len(taken)]
    found = [Feature("accepted_share", counts, [share, 1 - share], round(count / share))]
    if len(taken) < LEAST_ACCEPTED:
        return found
    found += [Feature(it, *decile_counts(values(taken, it), baseline[it]), count) for it in DECILES]
    found.append(_classes("class_mix", [each["label"] for each in taken], baseline["class_mix"], count))
    if baseline.get("size_mix"):  # unknown where the model was trained on pictures cut to one size
        found.append(_classes("size_mix", [size_class(each) for each in taken], baseline["size_mix"], count))
    return [
        feature for feature in found if len(feature.counts) > 1
    ]  # one class alone can only be as expected


def _classes(name: str, seen: list[str], expected: dict[str, float], sample: int) -> Feature:
    counted = Counter(seen)
    classes = [*expected, *sorted(set(counted) - set(expected))]
    return Feature(name, [counted[it] for it in classes], [expected.get(it, 0.0) for it in classes], sample)


def in_words(name: str, pictures: Sequence[Picture], baseline: Baseline) -> str:
    """Such as "median brightness 0.21, baseline 0.50"; of classes the one that changed most."""
    taken = accepted(pictures, baseline["classes_of_interest"], baseline["threshold"])
    if name == "accepted_share":
        return f"accepted {len(taken) / len(pictures):.2f}, baseline {baseline[name]:.2f}"
    if name in DECILES:
        return f"median {name} {statistics.median(values(taken, name)):.2f}, baseline {baseline[name][5]:.2f}"
    seen = Counter(each["label"] if name == "class_mix" else size_class(each) for each in taken)
    expected = baseline[name]
    most = max({*seen, *expected}, key=lambda it: abs(seen[it] / len(taken) - expected.get(it, 0.0)))
    shown = most if name == "class_mix" else f"{int(most) / 1e6:.2g} to {int(most) / 5e5:.2g} megapixels"
    return f"{shown} {seen[most] / len(taken):.2f}, baseline {expected.get(most, 0.0):.2f}"
