"""What is learnt from a team's pictures: a linear layer over the backbone's features, and a distance for "neither".

A picture is like a class if its nearest neighbours of that class are near. The distance is compared with those that
the class's own pictures have from each other, so no foreign picture is needed to refuse one. The idea is that of
Y. Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors" (ICML 2022), within the predicted class.

Features are averages of activations, so a head works on their square roots: a few strong ones would outweigh all others
(R. Arandjelovic, A. Zisserman, "Three things everyone should know to improve object retrieval", CVPR 2012).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from training_scripts.evaluation import calibration

Array = NDArray[np.float64]

NEIGHBOURS = 3
# The figures hardly change from 0.01 to 1.
_INVERSE_REGULARISATION = 0.1
# Pictures kept for the distances; more make the model larger and slower, not better.
_LARGEST_MEMORY = 2000
# Share of our own pictures that the distance alone lets pass, where no foreign one says more.
_OURS_KEPT = 0.99
_ENOUGH_FOREIGN = 20
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class Head:
    """All that turns features [N, F] into logits [N, C + 1], the last one for "neither".

    Args:
        weight: [C, F], of the features' square roots, with the temperature in it.
        bias: [C], likewise.
        memory: square roots of features of each class at unit length, C arrays [n, F].
        mean, spread: [C], of the distances of a class's own pictures to each other.
        neither: (factor of the standardised distance, factor of the energy, constant) of the last logit.
    """

    weight: Array
    bias: Array
    memory: list[Array]
    mean: Array
    spread: Array
    neither: tuple[float, float, float] = (1.0, 0.0, 0.0)

    def class_logits(self, features: NDArray) -> Array:
        """[N, C]."""
        return np.sqrt(features) @ self.weight.T + self.bias

    def distances(self, features: NDArray) -> Array:
        """The mean cosine distance to the nearest pictures of each class, standardised: [N, C]."""
        unit = _unit(features)
        nearest = [_nearest(unit @ known.T) for known in self.memory]
        return (1 - np.stack(nearest, 1) - self.mean) / self.spread

    def evidence(self, features: NDArray, excluded: NDArray | None = None) -> tuple[Array, Array]:
        """(distance to the predicted class, energy), both [N] and higher for foreign pictures.

        Without the class `excluded` [N], each picture is foreign to what remains.
        The energy is that of W. Liu et al., "Energy-based Out-of-distribution Detection" (NeurIPS 2020).
        """
        logits, distances = self.class_logits(features), self.distances(features)
        rows = np.arange(len(logits))
        if excluded is not None:
            logits[rows, excluded] = -np.inf
        return distances[rows, logits.argmax(1)], -np.logaddexp.reduce(logits, 1)

    def lower_neither(self, shift: float) -> "Head":
        """This head with the last logit lowered by `shift`."""
        factor, of_energy, constant = self.neither
        return replace(self, neither=(factor, of_energy, constant - shift))

    def logits(self, features: NDArray) -> Array:
        """[N, C + 1]: log-probabilities of the classes, and the log-odds of "neither"."""
        classes = self.class_logits(features)
        distance, energy = self.evidence(features)
        factor, of_energy, constant = self.neither
        neither = factor * distance + of_energy * energy + constant
        return np.c_[classes - np.logaddexp.reduce(classes, 1)[:, None], neither]


def fit(features: NDArray, truth: NDArray, folds: NDArray, classes: int) -> tuple[Head, Array]:
    """Fit a head; returns it with out-of-fold logits [N, C + 1] of every row.

    Args:
        features: [N, F], none below 0.
        truth: [N] class numbers; `classes` for foreign pictures, which may be missing.
        folds: [N].
        classes: number of classes without "neither".

    The temperature and the three numbers of "neither" are chosen on the out-of-fold answers, so these are a little
    optimistic about them; weights and neighbours are not.
    """
    ours = truth < classes
    whole = _fit(features[ours], truth[ours], classes)
    parts = [
        _fit(features[ours & (folds != fold)], truth[ours & (folds != fold)], classes)
        for fold in np.unique(folds)
    ]
    judged = [folds == fold for fold in np.unique(folds)]
    raw = _gather(
        judged, [part.class_logits(features[rows]) for part, rows in zip(parts, judged, strict=True)]
    )
    temperature = calibration.fit_temperature(raw[ours], truth[ours])
    parts = [_cooled(part, temperature) for part in parts]
    neither = _fit_neither(parts, judged, features, truth, classes)
    answers = [
        replace(part, neither=neither).logits(features[rows])
        for part, rows in zip(parts, judged, strict=True)
    ]
    return replace(_cooled(whole, temperature), neither=neither), _gather(judged, answers)


def _fit(features: NDArray, truth: NDArray, classes: int) -> Head:
    roots = np.sqrt(features)
    # A feature that hardly varies in few pictures may vary in others: its scale must not blow it up.
    centre, scale = roots.mean(0), roots.std(0) + roots.std(0).mean() + _LEAST_SPREAD
    model = LogisticRegression(C=_INVERSE_REGULARISATION, max_iter=1000).fit((roots - centre) / scale, truth)
    weight, bias = model.coef_, model.intercept_
    if classes == 2:  # scikit-learn gives one row for both
        weight, bias = np.r_[-weight / 2, weight / 2], np.r_[-bias / 2, bias / 2]
    weight = weight / scale
    most = max(NEIGHBOURS + 1, _LARGEST_MEMORY // classes)
    memory = [_unit(features[truth == number][:most]) for number in range(classes)]
    own = [1 - _nearest(_without_itself(known @ known.T)) for known in memory]
    spread = np.array([distances.std() for distances in own])
    return Head(
        weight,
        bias - weight @ centre,
        memory,
        np.array([distances.mean() for distances in own]),
        # few pictures tell little about a spread: half of it is that of all classes
        (spread + spread.mean()) / 2 + _LEAST_SPREAD,
    )


def _fit_neither(
    parts: list[Head], judged: list[NDArray], features: NDArray, truth: NDArray, classes: int
) -> tuple[float, float, float]:
    """Logistic regression of foreign against ours on distance and energy.

    Where foreign pictures are too few, each of ours stands for one, as seen by the other classes. Those are nearer
    than most foreign pictures will be, so only the slope is theirs; ours say where to cut.
    """

    def all_evidence(excluded: NDArray | None) -> Array:
        pairs = [
            part.evidence(features[rows], None if excluded is None else excluded[rows])
            for part, rows in zip(parts, judged, strict=True)
        ]
        return _gather(judged, [np.stack(pair, 1) for pair in pairs])

    ours = truth < classes
    evidence = all_evidence(None)
    known = evidence[ours]
    given = int((~ours).sum()) >= _ENOUGH_FOREIGN
    foreign = evidence[~ours] if given else all_evidence(np.minimum(truth, classes - 1))[ours]
    centre, scale = known.mean(0), known.std(0) + _LEAST_SPREAD
    # one remaining class has no energy worth the name
    weights = np.array([1.0, 1.0 if classes > 2 else 0.0]) / scale
    constant = -float(weights @ centre)
    score, foreign_score = known @ weights + constant, foreign @ weights + constant
    model = LogisticRegression(class_weight="balanced").fit(
        np.r_[score, foreign_score][:, None], np.r_[np.zeros(len(score)), np.ones(len(foreign_score))]
    )
    slope = max(float(model.coef_[0, 0]), _LEAST_SPREAD)
    cut = float(np.quantile(score, _OURS_KEPT))
    if given:
        cut = min(cut, -float(model.intercept_[0]) / slope)
    factor, of_energy = (float(value) for value in slope * weights)
    return factor, of_energy, slope * (constant - cut)


def _cooled(head: Head, temperature: float) -> Head:
    return replace(head, weight=head.weight / temperature, bias=head.bias / temperature)


def _gather(judged: list[NDArray], parts: list[Array]) -> Array:
    whole = np.zeros((len(judged[0]), parts[0].shape[1]))
    for rows, part in zip(judged, parts, strict=True):
        whole[rows] = part
    return whole


def _unit(features: NDArray) -> Array:
    roots = np.sqrt(features)
    return roots / (np.linalg.norm(roots, axis=1, keepdims=True) + _LEAST_SPREAD)


def _nearest(similarity: NDArray) -> Array:
    """The mean of the largest NEIGHBOURS of each row."""
    return np.sort(similarity, 1)[:, ::-1][:, :NEIGHBOURS].mean(1)


def _without_itself(similarity: NDArray) -> Array:
    count = len(similarity)
    return similarity[~np.eye(count, dtype=bool)].reshape(count, count - 1)
