"""Whether a window of pictures differs from the model's baseline: two statistics for each feature, and their limits.

A feature is reduced to bins: the baseline's deciles, or classes. The population stability index is
sum((found - expected) * ln(found / expected)) over the bins' shares; the Kolmogorov-Smirnov distance is
the largest difference of the shares up to any bin's end. Both vary by chance even if nothing changed,
and more so with fewer pictures in the window and the baseline. So a limit is a value that chance
exceeds in at most a share ALPHA of the windows, over all features and both statistics (Bonferroni), and
never below what matters in practice.

PSI is asymptotically (1 / window + 1 / baseline) times a chi-square with bins - 1 degrees of freedom: B. Yurdakul,
Statistical Properties of Population Stability Index, 2018. The distance's bound is Smirnov's for two samples; cut
into bins it is smaller, so the bound holds.
"""

import bisect
import dataclasses
import itertools
import math
import statistics
from collections.abc import Sequence

# Share of an unchanged stream's windows in which chance alone may raise an alarm.
ALPHA = 1 / 2000
# Below these a difference is real in a large window, but too small to act upon; 0.2 is the usual rule for PSI.
LEAST_PSI = 0.2
LEAST_KS = 0.1


@dataclasses.dataclass(frozen=True)
class Feature:
    """Observed `counts` and `expected` shares of the same bins; the expected ones come from `sample` pictures."""

    name: str
    counts: Sequence[int]
    expected: Sequence[float]
    sample: int


@dataclasses.dataclass(frozen=True)
class Finding:
    """A feature's statistics and the limits beyond which it has drifted."""

    name: str
    psi: float
    psi_limit: float
    ks: float
    ks_limit: float

    @property
    def drifted(self) -> bool:
        return self.psi > self.psi_limit or self.ks > self.ks_limit

    @property
    def excess(self) -> float:
        """How far beyond its limit the feature is; above 1 if it has drifted."""
        return max(self.psi / self.psi_limit, self.ks / self.ks_limit)


def judge(features: Sequence[Feature]) -> list[Finding]:
    """A finding for each feature, the most telling first. Windows must not be empty."""
    alpha = ALPHA / (2 * len(features))
    findings = [_finding(feature, alpha) for feature in features]
    return sorted(findings, key=lambda finding: -finding.excess)


def decile_counts(values: Sequence[float], deciles: Sequence[float]) -> tuple[list[int], list[float]]:
    """Counts of the bins between a baseline's deciles (11 numbers) and the shares to expect; ends are open."""
    edges = deciles[1:-1]
    counts = [0] * (len(edges) + 1)
    for value in values:
        counts[bisect.bisect_right(edges, value)] += 1
    return counts, [1 / len(counts)] * len(counts)


def _finding(feature: Feature, alpha: float) -> Finding:
    window, bins = sum(feature.counts), len(feature.counts)
    found = _shares(feature.counts)
    expected = _shares([share * feature.sample for share in feature.expected])
    psi = sum((f - e) * math.log(f / e) for f, e in zip(found, expected, strict=True))
    pairs = zip(feature.counts, feature.expected, strict=True)
    ks = max(map(abs, itertools.accumulate(count / window - share for count, share in pairs)))
    noise = 1 / window + 1 / feature.sample
    psi_limit = max(LEAST_PSI, noise * _chi_square(bins - 1, alpha))
    ks_limit = max(LEAST_KS, math.sqrt(-math.log(alpha / 2) / 2 * noise))
    return Finding(feature.name, psi, psi_limit, ks, ks_limit)


def _shares(counts: Sequence[float]) -> list[float]:
    """Shares of the bins, none of them zero: half a picture is added to each."""
    total = sum(counts) + len(counts) / 2
    return [(count + 0.5) / total for count in counts]


def _chi_square(degrees: int, alpha: float) -> float:
    """What a chi-square exceeds with probability alpha, by Wilson and Hilferty's cube (1931)."""
    if degrees == 1:
        return statistics.NormalDist().inv_cdf(1 - alpha / 2) ** 2
    spread = 2 / (9 * degrees)
    return degrees * (1 - spread + statistics.NormalDist().inv_cdf(1 - alpha) * math.sqrt(spread)) ** 3
