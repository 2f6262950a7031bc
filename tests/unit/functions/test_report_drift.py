"""report_drift: what a window of the ledger says about the stream, by moto's DynamoDB and S3."""

import json
import random

import pytest

from functions.common import baseline
from functions.common.errors import InvalidInput, Misconfigured, ReportUnavailable
from functions.report_drift import window
from functions.report_drift.features import features
from functions.report_drift.handler import lambda_handler
from functions.report_drift.judgement import Feature, judge

LABELS = ["bicycle", "motorcycle"]
NOON = "2026-11-28T12:00:00Z"
CHECK = {"check": "drift", "hours": 24, "time": NOON}
TODAY, YESTERDAY = "2026-11-28T09:00:00.000Z", "2026-11-27T09:00:00.000Z"


def picture(rng, light=1.0, doubt=0.15, first=0.5):
    """One picture of a bright stream: the model doubts some, and this share are bicycles."""
    image = {"width": 400, "height": 300, "brightness": light * rng.betavariate(5, 5)}
    image |= {"contrast": light * rng.betavariate(4, 12), "sharpness": rng.betavariate(3, 30)}
    sure = rng.random() > doubt
    confidence = 1 - rng.betavariate(1, 40) / 10 if sure else rng.uniform(0.4, 0.89)
    return {
        "label": LABELS[rng.random() > first],
        "confidence": confidence,
        "image": image,
        "model": "bikes",
        "time": TODAY,
    }


def stream(number, seed, **kind):
    rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
    return [picture(rng, **kind) for _ in range(number)]


def drifted(pictures, expected):
    return {finding.name for finding in judge(features(pictures, expected)) if finding.drifted}


@pytest.fixture(scope="module")
def expected():
    return baseline.describe(stream(1000, 0), LABELS, 0.9)


def test_an_unchanged_stream_alarms_in_one_of_a_thousand_windows_at_most():
    """With a baseline of its own for each window, so that its chance counts, too."""
    alarms = 0
    for seed in range(1000):
        expected = baseline.describe(stream(400, f"baseline {seed}"), LABELS, 0.9)
        alarms += bool(drifted(stream(100, f"window {seed}"), expected))

    assert alarms <= 1


@pytest.mark.parametrize("number", [100, 1000])
def test_a_stream_that_turns_dark_is_caught_by_its_brightness(expected, number):
    assert "brightness" in drifted(stream(number, 1, light=0.4), expected)


def test_a_doubtful_stream_drifts_in_its_accepted_share(expected):
    assert drifted(stream(100, 1, doubt=0.6), expected) == {"accepted_share"}
    nearly_all = stream(100, 1, doubt=0.9)
    assert len(baseline.accepted(nearly_all, LABELS, 0.9)) < 30
    assert drifted(nearly_all, expected) == {"accepted_share"}


def test_another_mix_of_classes_is_caught(expected):
    assert drifted(stream(300, 1, first=0.85), expected) == {"class_mix"}


def test_pictures_of_another_size_drift(expected):
    """Where the baseline knows sizes."""
    larger = [{**each, "image": {**each["image"], "width": 4000, "height": 3000}} for each in stream(100, 1)]

    assert drifted(larger, expected) == {"size_mix"}
    assert drifted(larger, {name: it for name, it in expected.items() if name != "size_mix"}) == set()


def test_limits_shrink_with_the_window_down_to_what_matters():
    def limits(number):
        (finding,) = judge([Feature("f", [number // 10] * 10, [0.1] * 10, 1000)])
        return finding.psi_limit, finding.ks_limit

    assert limits(100) > limits(200) > limits(1000)
    assert limits(10**6)[0] == 0.2
    assert 0.05 < limits(10**6)[1] <= 0.1


def test_the_statistics_are_those_of_the_books():
    (finding,) = judge([Feature("f", [300, 700], [0.5, 0.5], 10**6)])

    # (0.3 - 0.5) ln(0.3 / 0.5) + (0.7 - 0.5) ln(0.7 / 0.5)
    assert finding.psi == pytest.approx(0.1694, abs=0.001)
    assert finding.ks == pytest.approx(0.2)


@pytest.fixture
def alerts(deployment, service, monkeypatch, bucket, expected):
    """The bucket has the model's baseline; what send_alert was asked."""
    bucket.put_object(Key="models/bikes/baseline.json", Body=json.dumps(expected).encode())
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", service.url)
    monkeypatch.setenv(
        "SEND_ALERT", "arn:aws:lambda:us-east-1:123456789012:function:scones-test-send-alert:live"
    )
    service.answers(status=202)
    return lambda: [json.loads(body) for _, _, _, body in service.requests]


@pytest.fixture
def decide(deployment):
    """Writes pictures into the ledger as the state machine would."""
    dynamodb = deployment.client("dynamodb")

    def put(pictures, time=TODAY, model="bikes"):
        for start in range(0, len(pictures), 25):
            rows = [
                _row(each, f"{time}/{start + i}", time, model)
                for i, each in enumerate(pictures[start : start + 25])
            ]
            dynamodb.batch_write_item(
                RequestItems={deployment.ledger_table: [{"PutRequest": {"Item": row}} for row in rows]}
            )

    return put


def _row(each, key, time, model):
    image = {name: {"N": str(value)} for name, value in each["image"].items()}
    texts = {
        "picture": f"s3://b/{key}.jpg",
        "version": "v",
        "time": time,
        "model": model,
        "label": each["label"],
    }
    return {name: {"S": text} for name, text in texts.items()} | {
        "confidence": {"N": str(each["confidence"])},
        "image": {"M": image},
    }


def metrics(capsys):
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {name: value for line in lines if "_aws" in line for name, value in line.items()}


def test_an_unchanged_window_alerts_nobody(alerts, decide, context, capsys):
    decide(stream(200, 1))

    told = lambda_handler(CHECK, context)

    assert (told["verdict"], told["model"], told["pictures"]) == ("unchanged", "bikes", 200)
    assert alerts() == []
    published = metrics(capsys)
    assert (published["Drift"], published["DriftPictures"]) == ([0], [200])
    assert {"PSI_brightness", "KS_brightness", "PSI_accepted_share", "PSI_class_mix"} <= set(published)


def test_people_hear_once_that_a_stream_has_changed(alerts, decide, context, capsys):
    decide(stream(200, 1), YESTERDAY)
    decide(stream(200, 2, light=0.4))

    assert lambda_handler(CHECK, context)["verdict"] == "drifted"

    [alert] = alerts()
    assert (alert["category"], alert["error"]) == ("drift", "BrightnessShifted")
    assert alert["reason"].startswith("Of 200 pictures in 24 hours: median brightness 0.19, baseline 0.49;")
    assert metrics(capsys)["Drift"] == [1]

    decide(stream(200, 3, light=0.4), "2026-11-29T09:00:00.000Z")
    assert lambda_handler({**CHECK, "time": "2026-11-29T12:00:00Z"}, context)["verdict"] == "drifted"
    assert len(alerts()) == 1
    assert metrics(capsys)["Drift"] == [1]


def test_too_few_pictures_give_no_verdict_and_say_so(alerts, decide, context, capsys, caplog):
    decide(stream(49, 1, light=0.1))

    assert lambda_handler(CHECK, context)["verdict"] == "too few pictures"

    assert "49 pictures are not enough for a verdict; 50 are needed." in caplog.text
    assert "Drift" not in metrics(capsys)
    assert alerts() == []


def test_an_empty_ledger_gives_no_verdict(alerts, context):
    assert lambda_handler(CHECK, context)["verdict"] == "too few pictures"


def test_pictures_of_an_earlier_model_do_not_count(alerts, decide, context):
    decide(stream(200, 1, light=0.1), "2026-11-28T08:00:00.000Z", model="old")
    decide(stream(60, 2))

    told = lambda_handler(CHECK, context)

    assert (told["verdict"], told["pictures"]) == ("unchanged", 60)


def test_a_model_without_a_baseline_gets_no_verdict(alerts, decide, context, caplog):
    decide(stream(60, 1), model="trikes")

    assert lambda_handler(CHECK, context)["verdict"] == "no baseline"
    assert "trikes has no baseline; run scones promote or scones baseline." in caplog.text


def test_a_large_ledger_is_read_in_part(alerts, decide, context, monkeypatch):
    monkeypatch.setattr(window, "MOST_PICTURES", 80)
    decide(stream(200, 1))

    assert lambda_handler(CHECK, context)["pictures"] == 80


@pytest.mark.parametrize("event", [None, {}, {"hours": "24"}, {"hours": 0}, {"hours": True}])
def test_a_check_without_hours_is_invalid_input(event, context):
    with pytest.raises(InvalidInput):
        lambda_handler(event, context)


@pytest.mark.parametrize(
    ("code", "named"),
    [("ThrottlingException", ReportUnavailable), ("AccessDeniedException", Misconfigured)],
)
def test_a_ledger_that_cannot_be_read_has_a_name(monkeypatch, service, context, code, named):
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", service.url)
    service.answers(status=400, body=json.dumps({"__type": f"x#{code}", "message": "m"}).encode())

    with pytest.raises(named, match="Reading scones-test-ledger"):
        lambda_handler(CHECK, context)
