"""send_alert: every message as a subscriber gets it, through moto's SNS where it matters."""

import json
from pathlib import Path

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.errors import AlertUnavailable, InvalidInput, Misconfigured
from functions.send_alert.handler import lambda_handler
from functions.send_alert.message import compose
from functions.send_alert.occurrence import CATEGORIES, understand

EVENTS = Path(__file__).resolve().parents[2] / "events"
SNAPSHOTS = sorted((EVENTS / "messages").glob("*.txt"))
# The others are made of the event alone; these count what lies in the bucket or the ledger, or name the bucket.
COUNTING = ("alert_batch", "alert_batch_failed", "alert_digest", "execution_aborted_batch")
MAP_RUN = "results/20261112-031200-7f2d/a3bb189e-8bf9-3888-9912-ace4e6543002"
TOPIC = "arn:aws:sns:us-east-1:123456789012:scones-test-alerts"
BUCKET = "scones-test-123456789012-us-east-1"


def message(event, environment="scones-test", topic=TOPIC):
    return compose(understand(event), topic, environment, "https://example.org/docs/operations.md")


@pytest.fixture
def counted(deployment, event):
    """The bucket has the results of a batch, and the ledger rows that wait."""
    s3, dynamodb = deployment.client("s3"), deployment.client("dynamodb")
    for path in (EVENTS / "batch_results").iterdir():
        s3.put_object(Bucket=BUCKET, Key=f"{MAP_RUN}/{path.name}", Body=path.read_bytes())
    for row in event("waiting_rows"):
        texts = {"picture": f"s3://{BUCKET}/{row['key']}", "version": "v1", "status": row["attention"], **row}
        item = {name: {"S": text} for name, text in texts.items() if name not in ("key", "confidence")}
        item |= {"confidence": {"N": str(row["confidence"])}} if "confidence" in row else {}
        dynamodb.put_item(TableName=deployment.ledger_table, Item=item)


def category_of(stem):
    """Such as low_confidence for alert_low_confidence."""
    special = {
        "alert_batch_failed": "batch",
        "execution_aborted_batch": "batch",
        "alarm_state_change": "alarm",
    }
    return special.get(stem) or ("system" if stem.startswith("execution") else stem.removeprefix("alert_"))


@pytest.mark.parametrize(
    "snapshot", [path for path in SNAPSHOTS if path.stem not in COUNTING], ids=lambda path: path.stem
)
def test_a_golden_event_gives_the_message_on_file(snapshot, event):
    made = message(event(snapshot.stem))

    assert f"{made.subject}\n{made.text}" == snapshot.read_text("utf-8")


def test_every_category_has_a_golden_event_and_a_message_on_file():
    stems = {path.stem for path in SNAPSHOTS}

    assert {f"alert_{category}" for category in CATEGORIES if category != "alarm"} <= stems
    assert {"alarm_state_change", "execution_timed_out", "execution_aborted"} <= stems


@pytest.mark.parametrize("snapshot", SNAPSHOTS, ids=lambda path: path.stem)
def test_a_published_alert_reaches_a_subscriber_with_its_category(snapshot, counted, inbox, event, context):
    result = lambda_handler(event(snapshot.stem), context)

    [received] = inbox()
    assert received["MessageId"] == result["message_id"]
    assert received["MessageAttributes"]["category"]["Value"] == category_of(snapshot.stem)
    assert f"{received['Subject']}\n{received['Message']}" == snapshot.read_text("utf-8")


def test_a_repeated_alert_keeps_its_id(inbox, event, context):
    """Another alert has another id."""
    once = event("alert_low_confidence")
    for told in (once, once, {**once, "execution": f"{once['execution']}-run-2"}):
        lambda_handler(told, context)

    first, again, other = (received["MessageAttributes"]["alert_id"]["Value"] for received in inbox())
    assert first == again != other


def test_each_category_is_counted(inbox, event, context, capsys):
    lambda_handler(event("alert_rejected"), context)

    records = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"Alerts"' in line]
    assert [(record["Alerts"], record["category"]) for record in records] == [([1.0], "rejected")]


def test_nobody_hears_of_a_batch_that_decided_nothing_new(inbox, event, context):
    given = event("alert_batch")
    results = {"ResultFiles": {"SUCCEEDED": [{"Key": "results/again/run/SUCCEEDED_0.jsonl"}], "FAILED": []}}
    s3 = boto3.client("s3", "us-east-1")
    s3.put_object(Bucket=BUCKET, Key="results/again/run/manifest.json", Body=json.dumps(results))
    s3.put_object(
        Bucket=BUCKET, Key="results/again/run/SUCCEEDED_0.jsonl", Body=b'{"DECIDED_BEFORE":40}\n' * 26
    )

    assert lambda_handler({**given, "batch": "again"}, context) == {"message_id": None}
    assert inbox() == []
    lambda_handler({**given, "batch": "again", "error": "States.ResultWriterFailed"}, context)
    assert "FAILED (States.ResultWriterFailed)" in inbox()[0]["Subject"]
    lambda_handler({**given, "batch": "again", "pictures": 1041}, context)
    assert "1 undecided" in inbox()[0]["Message"]


def test_a_batch_without_results_says_that_it_decided_nothing(inbox, event, context):
    lambda_handler({**event("alert_batch_failed"), "batch": "nothing-written"}, context)

    assert "1040 undecided" in inbox()[0]["Message"]


@pytest.mark.parametrize(
    "answered", [(503, "SlowDown", AlertUnavailable), (403, "AccessDenied", Misconfigured)]
)
def test_results_that_cannot_be_read_are_named(monkeypatch, service, event, context, answered):
    status, code, named = answered
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", service.url)
    service.answers(status=status, body=f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode())

    with pytest.raises(named, match="Reading the results of batch 20261112-031200-7f2d"):
        lambda_handler(event("alert_batch"), context)


def test_a_confidence_is_never_rounded_up_to_the_threshold(event):
    made = message({**event("alert_low_confidence"), "confidence": 0.9299999})

    assert "motorcycle 0.92 < 0.93" in made.subject


def test_a_sure_answer_that_nobody_looks_for_says_so(event):
    made = message({**event("alert_low_confidence"), "label": "neither", "confidence": 0.98})

    assert "neither 0.98, not looked for" in made.subject


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("incoming/Zürich café.jpg", "Zurich cafe.jpg"),
        ("incoming/日本.jpg", "??.jpg"),
        ("a\nb\r\nc.jpg", "a b c.jpg"),
        ("rtl\u202egpj.exe", "rtl?gpj.exe"),
        ("incoming/" + "long" * 100 + "-17.jpg", "long-17.jpg"),
        ("\x00\x1b[31m.jpg", "??[31m.jpg"),
    ],
)
def test_any_key_makes_a_subject_of_one_ascii_line(event, key, shown):
    picture = {"s3_bucket": "b", "s3_key": key, "s3_version_id": "v"}

    made = message({**event("alert_system"), "picture": picture})

    assert made.subject.endswith(shown)
    assert len(made.subject) < 100
    assert made.subject.isascii()
    assert made.subject.isprintable()


def test_a_template_field_in_a_key_stays_what_it_is(event):
    picture = {"s3_bucket": "b", "s3_key": "$reason ${links} $$.jpg", "s3_version_id": "v"}

    assert (
        "$reason ${links} $$.jpg was not accepted"
        in message({**event("alert_low_confidence"), "picture": picture}).text
    )


def test_the_link_to_an_object_survives_odd_and_long_keys(event):
    """For a key that is too long for a link, the link leads to the bucket."""

    def text(key):
        return message({**event("alert_system"), "picture": {"s3_bucket": "b", "s3_key": key}}).text

    assert "prefix=a%20b%2Bc%26d.jpg" in text("a b+c&d.jpg")
    assert "/s3/buckets/b?region=us-east-1" in text("x" * 1024)


@pytest.mark.parametrize(
    ("arn", "console"),
    [
        ("arn:aws-cn:sns:cn-north-1:123456789012:t", "https://cn-north-1.console.amazonaws.cn/"),
        (
            "arn:aws-us-gov:sns:us-gov-west-1:123456789012:t",
            "https://us-gov-west-1.console.amazonaws-us-gov.com/",
        ),
        ("arn:aws:sns:eu-central-1:123456789012:t", "https://eu-central-1.console.aws.amazon.com/"),
    ],
)
def test_links_lead_to_the_console_of_the_topics_partition(event, arn, console):
    assert console in message(event("alert_system"), topic=arn).text


def test_the_words_are_taken_out_of_lambdas_and_our_own_json(event):
    ours = json.dumps({"reason": 'The "worker" died.', "s3_version_id": "v"})
    lambdas = json.dumps({"errorMessage": ours, "errorType": "X", "stackTrace": ["line"] * 50})

    for cause in (ours, lambdas, lambdas[:120]):
        text = message({**event("alert_system"), "reason": cause}).text
        assert 'Why: The "worker" died.' in text
        assert "{" not in text


def test_an_alarm_that_is_over_says_so(event):
    given = event("alarm_state_change")
    given["detail"]["state"]["value"] = "OK"

    made = message(given)
    assert made.subject == "[scones-test] Alarm over: endpoint errors"
    assert "Nothing is to be done." in made.text


def test_an_alarm_without_a_value_still_says_what_is_known(event):
    """The same holds for an alarm with a description that somebody else wrote."""
    silent, foreign = event("alarm_state_change"), event("alarm_state_change")
    silent["detail"]["state"] |= {"reasonData": json.dumps({"recentDatapoints": [], "threshold": 1.0})}
    foreign["detail"]["configuration"] = {"description": "Somebody else's alarm."}

    assert message(silent).subject == "[scones-test] Alarm: endpoint errors"
    assert "Why: Threshold Crossed: 1 out of" in message(silent).text
    made = message(foreign).text
    assert made.startswith("Somebody else's alarm.\n")
    assert "What to do: look at the alarm's metric around that time." in made
    assert "Help: https://example.org/docs/operations.md#alarm" in made


@pytest.mark.parametrize("figure", [10**400, float("inf"), float("nan"), "7.5", None])
def test_an_alarm_without_a_readable_figure_leaves_it_out(event, figure):
    given = event("alarm_state_change")
    given["detail"]["state"] |= {
        "reasonData": json.dumps({"recentDatapoints": [figure], "threshold": figure})
    }

    assert message(given).subject == "[scones-test] Alarm: endpoint errors"


def test_the_alarm_of_drift_goes_to_the_subscribers_of_drift(event):
    given = event("alarm_state_change")
    given["detail"]["alarmName"] = "scones-test-drift"

    assert understand(given).category == "drift"
    assert message(given).subject.startswith("[scones-test] Alarm: drift")


def test_only_failures_of_the_system_are_counted(inbox, counted, event, context, capsys):
    """Doubtful and rejected pictures do not count."""
    failures = {}
    for stem in (
        "alert_system",
        "execution_timed_out",
        "alert_batch",
        "alert_low_confidence",
        "alert_rejected",
    ):
        lambda_handler(event(stem), context)
        records = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
        failures[stem] = sum(sum(record.get("SystemFailures", [])) for record in records)

    assert failures == {
        "alert_system": 1,
        "execution_timed_out": 1,
        "alert_batch": 31 + 41,  # failed, and undecided
        "alert_low_confidence": 0,
        "alert_rejected": 0,
    }


def test_an_execution_whose_input_is_left_out_of_the_event_still_alerts(event):
    given = event("execution_timed_out")
    given["detail"]["input"] = None

    assert message(given).subject == "[scones-test] System failure: TIMED_OUT - an unnamed picture"


def test_a_failed_settling_execution_names_its_picture(event):
    """The alert names the picture of the execution that it was about."""
    stopped = event("execution_timed_out")
    given = event("execution_aborted")
    given["detail"] |= {"status": "FAILED", "error": "AlertUnavailable", "input": json.dumps(stopped)}

    assert message(given).subject == "[scones-test] System failure: AlertUnavailable - van-17.png"


@pytest.mark.parametrize(
    "given", [None, [], "text", {}, {"category": "other"}, {"category": ["system"]}, {"detail-type": "x"}]
)
def test_what_is_not_an_alert_is_invalid_input(given, context):
    with pytest.raises(InvalidInput):
        lambda_handler(given, context)


# With lone surrogates, which JSON can hold and UTF-8 cannot.
words = st.text(st.characters(exclude_categories=[]))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
picture = st.fixed_dictionaries({"s3_bucket": anything, "s3_key": anything, "s3_version_id": anything})


@given(
    category=st.sampled_from(CATEGORIES),
    fields=st.fixed_dictionaries(
        {
            "error": anything,
            "reason": st.text(max_size=3000) | anything,
            "execution": anything,
            "picture": picture | anything,
            "label": anything,
            "confidence": anything,
            "threshold": anything,
            "time": anything,
            "batch": anything,
            "pictures": anything,
        }
    ),
)
def test_any_message_keeps_to_the_limits_of_sns(category, fields):
    """Whatever its fields hold; and it stays readable on a phone."""
    made = message({"category": category, **fields})

    assert 0 < len(made.subject) < 100
    assert made.subject.isascii()
    assert made.subject.isprintable()
    assert 0 < len(made.text) < 1000
    made.text.encode("utf-8")


@given(
    detail=st.dictionaries(
        st.sampled_from(["status", "input", "executionArn", "alarmName", "state", "configuration"]), anything
    )
)
def test_an_eventbridge_event_with_unexpected_fields_still_makes_a_message(detail):
    for kind in ("Step Functions Execution Status Change", "CloudWatch Alarm State Change"):
        assert message({"detail-type": kind, "detail": detail}).subject


@pytest.mark.parametrize(
    "answered",
    [
        (403, "AuthorizationError", Misconfigured),
        (404, "NotFound", Misconfigured),
        (400, "KMSDisabled", Misconfigured),
        (400, "Throttled", AlertUnavailable),
        (400, "KMSThrottling", AlertUnavailable),
        (500, "InternalError", AlertUnavailable),
    ],
)
def test_every_answer_of_sns_has_a_name(monkeypatch, service, event, context, answered):
    status, code, named = answered
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", service.url)
    service.answers(
        status=status,
        body=f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>m</Message></Error>"
        "<RequestId>r</RequestId></ErrorResponse>".encode(),
    )

    with pytest.raises(named) as caught:
        lambda_handler(event("alert_system"), context)
    assert type(caught.value) is named
    assert len(service.requests) == 1
