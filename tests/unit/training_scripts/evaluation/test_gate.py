"""The gate's rule on answers made by hand: what is refused, and what is chance."""

import math

import numpy as np
import pytest

from tests.unit.training_scripts.test_artifact import DESCRIPTION
from training_scripts.evaluation import gate
from training_scripts.evaluation.predictions import OUT_OF_DISTRIBUTION, Predictions

# Probabilities of (bicycle, motorcycle, neither) for a picture that is a bicycle (or foreign, for the last).
RIGHT, UNSURE, WRONG, REFUSED = (0.98, 0.01, 0.01), (0.6, 0.3, 0.1), (0.01, 0.98, 0.01), (0.01, 0.01, 0.98)


def answers(
    ours: dict[tuple[float, ...], int], foreign: dict[tuple[float, ...], int] | None = None, **change
) -> Predictions:
    """Answers to bicycles, then to foreign pictures; each kind of answer with its number."""
    rows = [p for part in (ours, foreign or {}) for p, count in part.items() for _ in range(count)]
    truth = [0] * sum(ours.values()) + [OUT_OF_DISTRIBUTION] * sum((foreign or {}).values())
    return Predictions(DESCRIPTION | change, np.array(rows), np.array(truth))


@pytest.mark.parametrize(
    ("lost", "won", "p"),
    [(0, 0, 1.0), (5, 0, 1 / 32), (4, 0, 1 / 16), (0, 5, 1.0), (9, 1, 11 / 1024), (3, 3, 42 / 64)],
)
def test_mcnemars_exact_test_by_hand(lost, won, p):
    assert gate.mcnemar(lost, won) == pytest.approx(p)


def test_mcnemars_exact_test_holds_its_level():
    """Of models that are as good as the current one, at most 5 % are refused, whatever the count."""
    for count in (5, 20, 80, 300):
        refused = sum(
            math.comb(count, k) for k in range(count + 1) if gate.mcnemar(k, count - k) < gate.LEVEL
        )
        assert refused / 2**count <= gate.LEVEL


def test_the_same_answers_pass():
    same = answers({RIGHT: 90, WRONG: 10}, {REFUSED: 50})

    verdict = gate.compare(same, same)

    assert verdict.adopted
    assert verdict.figures["right answers"]["lost"] == 0


def test_significantly_fewer_right_answers_are_refused():
    verdict = gate.compare(answers({RIGHT: 90, UNSURE: 0, REFUSED: 10}), answers({RIGHT: 100}))

    assert [text for text in verdict.refusals if text.startswith("right answers: 10 lost and 0 won")]


def test_a_loss_that_may_be_chance_passes():
    verdict = gate.compare(answers({RIGHT: 96, REFUSED: 4}), answers({RIGHT: 100}))

    assert verdict.adopted
    assert verdict.figures["right answers"]["p"] == pytest.approx(1 / 16, abs=1e-4)


def test_wins_and_losses_that_balance_pass():
    new = answers({WRONG: 8, RIGHT: 92})
    current = Predictions(DESCRIPTION, new.probabilities[::-1].copy(), new.truth)

    assert gate.compare(new, current).adopted


def test_more_wrong_acceptances_of_foreign_pictures_are_refused():
    verdict = gate.compare(
        answers({RIGHT: 100}, {RIGHT: 6, REFUSED: 44}), answers({RIGHT: 100}, {REFUSED: 50})
    )

    assert [text for text in verdict.refusals if "accepted wrongly: 6 lost and 0 won" in text]


def test_a_wrong_answer_below_the_threshold_is_not_accepted():
    unsure_and_wrong = (0.3, 0.6, 0.1)

    verdict = gate.compare(answers({RIGHT: 96, unsure_and_wrong: 4}), answers({RIGHT: 100}))

    assert verdict.figures["pictures not accepted wrongly"]["lost"] == 0


def test_a_coverage_that_falls_far_and_surely_is_refused():
    verdict = gate.compare(answers({RIGHT: 80, UNSURE: 20}), answers({RIGHT: 100}))

    assert len(verdict.refusals) == 1
    assert "coverage falls by 20.0 points" in verdict.refusals[0]


@pytest.mark.parametrize("unsure", [1, 4, 5])
def test_a_small_fall_in_coverage_passes(unsure):
    assert gate.compare(answers({RIGHT: 100 - unsure, UNSURE: unsure}), answers({RIGHT: 100})).adopted


def test_an_uncertain_fall_in_coverage_passes():
    """4 of 60 pictures: 20 go one way and 24 the other."""
    current = answers({RIGHT: 36, UNSURE: 24})
    new = Predictions(
        DESCRIPTION, np.array([RIGHT] * 12 + [UNSURE] * 24 + [RIGHT] * 20 + [UNSURE] * 4), current.truth
    )

    verdict = gate.compare(new, current)

    assert verdict.figures["coverage"]["falls_in_samples"] < 0.95
    assert verdict.adopted


def test_each_model_is_judged_at_its_own_threshold():
    modest = (0.7, 0.2, 0.1)

    verdict = gate.compare(answers({modest: 100}, threshold=0.65), answers({RIGHT: 100}))

    assert verdict.figures["coverage"]["new"]["value"] == 1.0
    assert verdict.adopted


def test_a_frozen_set_that_is_too_small_decides_nothing_and_is_refused():
    few = answers({RIGHT: gate.LEAST_PICTURES - 1})

    assert "too few to tell" in gate.compare(few, few).refusals[0]


def test_a_class_that_only_one_model_knows_does_not_count():
    current = answers({RIGHT: 60, WRONG: 40})
    truth = np.array([0] * 60 + [OUT_OF_DISTRIBUTION] * 40)

    verdict = gate.compare(Predictions(DESCRIPTION, current.probabilities, truth), current)

    assert verdict.figures["right answers"]["new"]["count"] == 60


def test_a_model_that_may_only_be_guessing_is_refused():
    refusals = gate.floors(DESCRIPTION, answers({RIGHT: 55, WRONG: 45}))

    assert "better than guessing" in refusals[0]
    assert gate.floors(DESCRIPTION, answers({RIGHT: 70, WRONG: 30})) == []
