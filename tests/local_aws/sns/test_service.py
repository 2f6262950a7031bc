"""SNS deliveries: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html."""

import json
import urllib.request
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_aws.conftest import Server, eventually


def create_topic(server: Server) -> str:
    return str(server.client("sns").create_topic(Name=f"topic-{uuid.uuid4().hex[:8]}")["TopicArn"])


def outbox(server: Server, topic: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{server.url}/_local/outbox") as answer:
        return [entry for entry in json.load(answer) if entry["topic"] == topic]


def attribute(value: str) -> dict[str, Any]:
    return {"category": {"DataType": "String", "StringValue": value}}


def test_a_mail_subscription_is_confirmed_at_once(server: Server) -> None:
    """Its mail is in the outbox."""
    sns, topic = server.client("sns"), create_topic(server)
    arn = sns.subscribe(
        TopicArn=topic, Protocol="email", Endpoint="ops@example.com", ReturnSubscriptionArn=True
    )
    attributes = sns.get_subscription_attributes(SubscriptionArn=arn["SubscriptionArn"])["Attributes"]
    assert attributes["PendingConfirmation"] == "false"
    sns.publish(
        TopicArn=topic, Subject="one line", Message="two\nlines", MessageAttributes=attribute("system")
    )
    (entry,) = outbox(server, topic)
    assert entry.pop("time")
    assert entry == {
        "topic": topic,
        "subscriber": "ops@example.com",
        "protocol": "email",
        "subject": "one line",
        "message": "two\nlines",
        "attributes": {"category": "system"},
    }
    lines = (server.state_dir / "outbox.jsonl").read_text().splitlines()
    assert topic in [json.loads(line)["topic"] for line in lines]


def test_a_browser_gets_the_outbox_as_a_safe_page(server: Server) -> None:
    """The page holds no markup of others."""
    sns, topic = server.client("sns"), create_topic(server)
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.com")
    hostile = "<script>alert('&')</script>"
    sns.publish(TopicArn=topic, Subject=hostile, Message=hostile, MessageAttributes=attribute(hostile))
    request = urllib.request.Request(f"{server.url}/_local/outbox", headers={"Accept": "text/html,*/*"})
    with urllib.request.urlopen(request) as answer:
        page = answer.read().decode()
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert page.count("&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;") == 3
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page


def test_a_filter_policy_chooses_what_a_subscriber_gets(server: Server) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html"""
    sns, topic = server.client("sns"), create_topic(server)
    policy = json.dumps({"category": ["system", {"prefix": "alarm"}]})
    sns.subscribe(
        TopicArn=topic, Protocol="email", Endpoint="a@example.com", Attributes={"FilterPolicy": policy}
    )
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="b@example.com")
    for category in ("system", "alarm-1", "rejected"):
        sns.publish(TopicArn=topic, Message="x", MessageAttributes=attribute(category))
    sns.publish(TopicArn=topic, Message="x")
    got = [(entry["subscriber"][0], entry["attributes"].get("category")) for entry in outbox(server, topic)]
    assert [category for subscriber, category in got if subscriber == "a"] == ["system", "alarm-1"]
    assert [category for subscriber, category in got if subscriber == "b"] == [
        "system",
        "alarm-1",
        "rejected",
        None,
    ]


@pytest.mark.parametrize("subject", ["two\nlines", "x" * 101, "Grüße", "tab\there", " blank first"])
def test_a_subject_that_aws_refuses_is_refused(server: Server, subject: str) -> None:
    with pytest.raises(ClientError) as error:
        server.client("sns").publish(TopicArn=create_topic(server), Message="x", Subject=subject)
    assert error.value.response["Error"]["Code"] == "InvalidParameter"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_queue_gets_the_notification(server: Server) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html"""
    sns, topic = server.client("sns"), create_topic(server)
    url, arn = server.create_queue()
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    sns.publish(TopicArn=topic, Subject="s", Message="m")
    body = json.loads(server.receive(url)["Body"])
    assert (body["Type"], body["TopicArn"], body["Subject"], body["Message"]) == (
        "Notification",
        topic,
        "s",
        "m",
    )


def test_a_function_gets_a_record(server: Server) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html"""
    sns, topic = server.client("sns"), create_topic(server)
    url, arn = server.create_queue()
    name = server.create_function("def lambda_handler(event, context): return event")
    client = server.client("lambda")
    client.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": arn}}
    )
    function_arn = client.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    server.let_invoke(name, "sns")
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function_arn)
    sns.publish(TopicArn=topic, Subject="s", Message="m", MessageAttributes=attribute("system"))
    record = json.loads(server.receive(url)["Body"])["requestPayload"]["Records"][0]
    assert record["EventSource"] == "aws:sns"
    assert (record["Sns"]["Subject"], record["Sns"]["Message"]) == ("s", "m")
    assert record["Sns"]["MessageAttributes"] == {"category": {"Type": "String", "Value": "system"}}
    assert eventually(lambda: outbox(server, topic))[0]["protocol"] == "lambda"
