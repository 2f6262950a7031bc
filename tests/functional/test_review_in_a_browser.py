"""scones review as a person uses it: in a real Chromium, by keys, against a ledger and a bucket in moto."""

import contextlib
import io
import re

import boto3
import pytest
from moto import mock_aws
from PIL import Image
from playwright.sync_api import expect

from scripts.cli.commands.review import page_to
from scripts.deployment.outputs import Deployment
from scripts.devtools import browser, screenshots
from scripts.review import queue
from scripts.review.queue import Reviews
from scripts.review.server import serving
from scripts.workflow.ledger import Ledger
from training_scripts.synthetic import generator

LABELS = ["bicycle", "motorcycle", "neither"]
HOSTILE = "incoming/<img src=x onerror=alert(1)>\"'&.png"


@pytest.fixture
def deployment(monkeypatch):
    """A bucket with pictures, and a ledger in which all of them wait."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setattr(queue, "FRESH_SECONDS", -1.0)
    with mock_aws():
        region = {"region_name": "us-east-1"}
        s3, dynamodb = boto3.client("s3", **region), boto3.client("dynamodb", **region)
        s3.create_bucket(Bucket="pictures")
        s3.put_bucket_versioning(Bucket="pictures", VersioningConfiguration={"Status": "Enabled"})
        keys = ("picture", "version", "attention", "time")
        dynamodb.create_table(
            TableName="ledger",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
            KeySchema=[
                {"AttributeName": "picture", "KeyType": "HASH"},
                {"AttributeName": "version", "KeyType": "RANGE"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "attention",
                    "KeySchema": [
                        {"AttributeName": "attention", "KeyType": "HASH"},
                        {"AttributeName": "time", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        outputs = {
            "region": "us-east-1",
            "prefix": "scones-test",
            "bucket": "pictures",
            "ledger_table": "ledger",
            "ledger_retention_days": 90,
        }
        deployment = Deployment(outputs | {"labels": LABELS}, {})
        for number, key in enumerate((HOSTILE, "incoming/second.png", "incoming/third.png")):
            buffer = io.BytesIO()
            generator.draw("ambiguous", number, 96).save(buffer, "PNG")
            version = s3.put_object(Bucket="pictures", Key=key, Body=buffer.getvalue())["VersionId"]
            row = {"picture": f"s3://pictures/{key}", "version": version, "status": "LOW_CONFIDENCE"}
            row |= {"attention": "LOW_CONFIDENCE", "time": "2026-11-20T12:00:00.000Z", "label": "bicycle"}
            numbers = {"confidence": str(0.5 + number / 10), "threshold": "0.9", "run": "0"}
            item = {name: {"S": text} for name, text in row.items()}
            item |= {name: {"N": text} for name, text in numbers.items()}
            dynamodb.put_item(TableName="ledger", Item=item)
        yield deployment


@pytest.fixture
def review(page, deployment):
    """Opens the page of a reviewer."""
    with contextlib.ExitStack() as stack:

        def start(reviewer="ann"):
            address = stack.enter_context(serving(Reviews(deployment, reviewer), 0))
            page.goto(address)
            shown(page)
            return address

        yield start
        page.goto("about:blank")


def text(page, place):
    return page.locator(f"#{place}").text_content()


def shown(page):
    page.locator("#picture[src^='blob:']").wait_for()


def settled(page):
    expect(page.locator("#answers button").last).to_be_enabled()


def labels(deployment):
    return sorted(row.get("reviewed_label", "") for row in Ledger(deployment).all())


def test_the_biggest_doubt_is_shown_with_what_the_model_thought(page, review):
    review()

    assert text(page, "model") == "The model says bicycle 0.500; it would take 0.900 to accept."
    assert text(page, "name") == f"s3://pictures/{HOSTILE}"
    assert page.evaluate("document.querySelectorAll('main img').length") == 1
    assert page.evaluate("document.getElementById('picture').naturalWidth") == 640
    assert text(page, "count") == "0 answered here, 3 waiting"
    assert page.page_errors() == []
    assert [message.text for message in page.console_messages() if message.type == "error"] == []


def test_one_key_answers_and_the_next_comes(page, review, deployment):
    review()

    page.keyboard.press("2")
    expect(page.locator("#said")).to_have_text("Kept: motorcycle.")

    assert labels(deployment) == ["", "", "motorcycle"]
    assert text(page, "name").endswith("second.png")
    assert text(page, "count") == "1 answered here, 2 waiting"


def test_undo_brings_the_picture_back(page, review, deployment):
    review()
    page.keyboard.press("1")
    expect(page.locator("#said")).to_contain_text(re.compile("^Kept"))

    page.keyboard.press("u")
    expect(page.locator("#said")).to_have_text("Taken back.")

    assert text(page, "name") == f"s3://pictures/{HOSTILE}"
    assert labels(deployment) == ["", "", ""]


def test_all_of_it_by_keys_until_nothing_waits(page, review, deployment):
    review()

    for key, said in (
        ("s", "Put off."),
        ("1", "Kept: bicycle."),
        ("3", "Kept: neither."),
        ("x", "Kept: unusable."),
    ):
        page.keyboard.press(key)
        expect(page.locator("#said")).to_have_text(said)
        settled(page)

    assert text(page, "model").startswith("Nothing waits")
    assert labels(deployment) == ["bicycle", "neither", "unusable"]


def test_a_key_that_is_held_down_answers_once(page, review, deployment):
    review()
    for _ in range(6):
        page.keyboard.down("1")
    expect(page.locator("#said")).to_contain_text(re.compile("^Kept"))
    settled(page)
    page.keyboard.up("1")

    assert labels(deployment) == ["", "", "bicycle"]


def test_a_page_closed_in_the_middle_has_kept_what_was_answered(page, review, deployment):
    review()
    page.keyboard.press("1")
    expect(page.locator("#said")).to_contain_text(re.compile("^Kept"))

    page.goto("about:blank")

    assert labels(deployment) == ["", "", "bicycle"]


def test_the_file_that_is_opened_leads_to_the_page_with_its_token(page, deployment):
    with serving(Reviews(deployment, "ann"), 0) as address, page_to(address) as file:
        page.goto(file)
        shown(page)

        assert page.evaluate("location.origin") == address.partition("/#")[0]


def test_the_token_leaves_the_address_and_a_reload_goes_on(page, review):
    review()
    assert page.evaluate("location.hash") == ""

    page.reload()
    shown(page)

    assert "0 answered here" in text(page, "count")


def test_another_sites_page_can_neither_read_nor_change(page, review, deployment):
    address = review().partition("#")[0]
    page.goto("data:text/html,<title>elsewhere</title>")

    tried = page.evaluate(
        f"Promise.all(['no-cors', 'cors'].map((mode) => fetch('{address}api/next', {{method: 'POST', mode, body: '{{}}'}})"
        ".then((answer) => answer.type, () => 'refused')))"
    )

    assert tried == ["refused", "refused"]
    assert labels(deployment) == ["", "", ""]
    assert sum("lease_by" in row for row in Ledger(deployment).all()) == 1  # the first page's own


def test_every_button_has_a_name_and_its_key(page, review):
    review()
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    found = [node["name"]["value"] for node in nodes if node["role"]["value"] == "button"]

    assert found == [
        "1 bicycle",
        "2 motorcycle",
        "3 neither",
        "x no usable picture",
        "s see it later",
        "u undo",
    ]
    assert any(node["role"]["value"] == "image" and "picture" in node["name"]["value"] for node in nodes)


def test_it_fits_a_narrow_window(chromium, review):
    page = chromium.new_page(**browser.PHONE | {"viewport": {"width": 360, "height": 740}})
    page.goto(review())
    shown(page)

    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_its_photograph_answers_nothing(chromium, deployment, tmp_path):
    path = screenshots.take_review(chromium, deployment, tmp_path / "review.png")

    assert Image.open(path).size == (1280, 860)
    assert labels(deployment) == ["", "", ""]
