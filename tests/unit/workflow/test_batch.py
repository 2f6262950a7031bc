"""The pictures of a batch: from a prefix or a manifest, and which of them have no row."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from functions.common.inference_id import MAX_RUN
from scripts.cli.app import app
from scripts.deployment.outputs import NotDeployed
from scripts.operations.environment import LocalEnvironment
from scripts.workflow.batch import (
    Batch,
    Batches,
    InvalidManifest,
    NoSuchBatch,
    NothingToClassify,
    PictureUnseen,
    Undecided,
)
from scripts.workflow.bucket_layout import OWN_PREFIXES
from scripts.workflow.client import Workflow
from scripts.workflow.ledger import RetentionUnknown
from tests.unit.conftest import BUCKET

ALWAYS = datetime.min.replace(tzinfo=UTC)

ODD_KEYS = [
    "incoming/a b.jpg",
    "incoming/a+b%20c.jpg",
    "incoming/quote'\"s.jpg",
    "incoming/line\nbreak.jpg",
    "incoming/Fahrräder 🚲.jpg",
    "incoming/../up.jpg",
    "incoming/" + "x" * 1015,
]


@pytest.fixture
def batches(deployment):
    return Batches(Workflow(deployment))


@pytest.fixture
def put(bucket):
    """Puts an object; returns its version."""
    return lambda key: bucket.put_object(Key=key, Body=b"x").version_id


@pytest.fixture
def manifest(tmp_path):
    def write(text, name="pictures.jsonl"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def keys(inputs):
    return [each["s3_key"] for each in inputs]


def test_a_prefix_is_listed_with_the_present_version_of_each_object(batches, put):
    put("incoming/a.jpg")
    newest = put("incoming/a.jpg")

    assert list(batches.pictures(f"s3://{BUCKET}/incoming/")) == [
        {"s3_bucket": BUCKET, "s3_key": "incoming/a.jpg", "s3_version_id": newest, "image_data": "", "run": 0}
    ]


def test_odd_keys_are_listed_as_they_are(batches, put):
    for key in ODD_KEYS:
        put(key)

    assert sorted(keys(batches.pictures(f"s3://{BUCKET}/incoming/"))) == sorted(ODD_KEYS)


def test_deleted_objects_folders_and_outputs_are_left_out(batches, bucket, put):
    """The outputs are the project's own."""
    for key in ("a.jpg", "incoming/", *(f"{prefix}x.jpg" for prefix in OWN_PREFIXES)):
        put(key)
    put("incoming/deleted.jpg")
    bucket.Object("incoming/deleted.jpg").delete()

    assert keys(batches.pictures(f"s3://{BUCKET}")) == ["a.jpg"]


def test_a_source_without_pictures_says_why(batches, put):
    put("results/b/pictures.jsonl")
    refused = {
        f"s3://{BUCKET}/nothing/": "names no picture",
        f"s3://{BUCKET}/results/": "do not count",
        "s3://elsewhere/incoming/": "is in another bucket",
        "incoming/": "neither s3://BUCKET/PREFIX nor a manifest",
    }

    for source, why in refused.items():
        with pytest.raises(NothingToClassify, match=why):
            list(batches.pictures(source))


def test_a_manifest_of_json_lines_gives_execution_inputs(batches, manifest):
    inputs = [
        {"s3_bucket": BUCKET, "s3_key": key, "s3_version_id": "v", "image_data": "", "run": 2}
        for key in ODD_KEYS
    ]
    text = "\n\n".join(json.dumps(each | {"other": 1}) for each in inputs)

    assert list(batches.pictures(manifest(text))) == inputs


def test_a_manifest_in_csv_needs_only_keys(batches, manifest):
    text = 's3_key,note\r\nincoming/a.jpg,one\r\n"incoming/b, ""c"".jpg",two\r\n'

    found = list(batches.pictures(manifest(text, "pictures.csv")))

    assert keys(found) == ["incoming/a.jpg", 'incoming/b, "c".jpg']
    assert {(each["s3_bucket"], each["s3_version_id"], each["run"]) for each in found} == {(BUCKET, "", 0)}


def test_a_manifest_in_the_bucket_is_read_there(batches, bucket):
    bucket.put_object(Key="lists/today.csv", Body=b"s3_key,run\nincoming/a.jpg,3\n")

    (picture,) = batches.pictures(f"s3://{BUCKET}/lists/today.csv")

    assert (picture["s3_key"], picture["run"]) == ("incoming/a.jpg", 3)


def test_a_picture_that_a_manifest_names_twice_is_taken_once(batches, manifest):
    line = '{"s3_key": "incoming/a.jpg"}\n'

    assert keys(batches.pictures(manifest(line * 2 + '{"s3_key": "incoming/b.jpg"}\n'))) == [
        "incoming/a.jpg",
        "incoming/b.jpg",
    ]


def test_a_broken_line_is_named_by_its_number_and_nothing_is_written(batches, manifest, bucket):
    refused = {
        "incoming/a.jpg": "not a JSON object",
        "[]": "not a JSON object",
        "{": "not a JSON object",
        "{}": "s3_key must be a non-empty string",
        '{"s3_key": 5}': "s3_key must be a non-empty string",
        '{"s3_key": "a", "s3_version_id": 5}': "s3_version_id is not a version id",
        '{"s3_key": "a", "s3_version_id": "\\ud800"}': "s3_version_id is not a version id",
        '{"s3_key": "a", "s3_bucket": "elsewhere"}': "bucket elsewhere",
        '{"s3_key": "\\ud800"}': "not Unicode text",
        json.dumps({"s3_key": "ü" * 600}): "1200 bytes",
        '{"s3_key": "a", "run": -1}': "run is -1",
        '{"s3_key": "a", "run": true}': "run is True",
        '{"s3_key": "a", "run": 1e400}': "run is inf",
        '{"s3_key": "a", "run": NaN}': "run is nan",
        '{"s3_key": "a", "run": 1.0}': "run is 1.0",
        f'{{"s3_key": "a", "run": {MAX_RUN + 1}}}': f"from 0 to {MAX_RUN}",
        f'{{"s3_key": "a", "run": {10**30}}}': "not a whole number",
        f'{{"s3_key": "a", "run": "{"7" * 5000}"}}': "run is '7+[.]{3}7+', not a whole number",
        f'{{"s3_key": "a", "run": {"7" * 5000}}}': "not a JSON object",
        json.dumps({"s3_key": "a", "s3_version_id": "v" * 1025}): "s3_version_id is not a version id",
    }

    for line, why in refused.items():
        source = manifest(f'{{"s3_key": "incoming/fine.jpg"}}\n{line}\n')
        with pytest.raises(InvalidManifest, match=rf"jsonl, line 2: .*{why}.*Nothing was started"):
            batches.start(batches.pictures(source), lambda count: None)
    assert list(bucket.objects.all()) == []


def test_the_highest_run_is_taken_and_a_longer_one_named_with_its_line(batches, manifest):
    source = manifest(f"s3_key,run\nincoming/a.jpg,{MAX_RUN}\nincoming/b.jpg,{'7' * 5000}\n", "pictures.csv")
    pictures = batches.pictures(source)

    assert next(pictures)["run"] == MAX_RUN
    with pytest.raises(
        InvalidManifest, match=r"pictures.csv, line 3: run is '7+[.]{3}7+', not a whole number"
    ):
        next(pictures)


def test_what_is_not_a_manifest_is_named(batches, manifest):
    refused = [
        (manifest(b"\xff\xfe\x00"), "not text in UTF-8"),
        (manifest("incoming/a.jpg\n", "pictures.csv"), "a header with the column s3_key"),
        (manifest("", "empty.csv"), "a header with the column s3_key"),
        ("nowhere.jsonl", "cannot be read"),
        (f"s3://{BUCKET}/nowhere.csv", "cannot be read"),
        ("s3://elsewhere/a.csv", "cannot be read"),
    ]

    for source, why in refused:
        with pytest.raises(InvalidManifest, match=why):
            list(batches.pictures(source))


def test_an_empty_manifest_names_no_picture(batches, manifest):
    with pytest.raises(NothingToClassify):
        batches.pictures(manifest("\n"))


def test_missing_are_those_versions_that_have_no_row(batches, put):
    versions = {f"incoming/{number:03}.jpg": put(f"incoming/{number:03}.jpg") for number in range(130)}
    decided = [key for number, key in enumerate(versions) if number % 3]
    for key in decided:
        batches.workflow.dynamodb.put_item(
            TableName="scones-test-ledger",
            Item={"picture": {"S": f"s3://{BUCKET}/{key}"}, "version": {"S": versions[key]}},
        )
    overwritten = decided[0]
    put(overwritten)

    found = keys(Undecided(batches, f"s3://{BUCKET}/incoming/", ALWAYS))

    assert sorted(found) == sorted({*versions, overwritten} - set(decided[1:]))


def test_missing_looks_up_the_version_that_a_manifest_leaves_out(batches, manifest, put):
    version = put("incoming/a.jpg")
    source = manifest("s3_key\nincoming/a.jpg\nincoming/gone.jpg\n", "pictures.csv")

    found = list(Undecided(batches, source, ALWAYS))

    assert [(each["s3_key"], each["s3_version_id"]) for each in found] == [
        ("incoming/a.jpg", version),
        ("incoming/gone.jpg", ""),
    ]


def test_while_the_endpoint_is_off_nothing_is_started(batches):
    """Terraform leaves an output that is null out of its state."""
    del batches.deployment.outputs["endpoint_name"]

    with pytest.raises(
        NotDeployed, match=r"The endpoint is off .* nothing was started: run `scones promote`"
    ):
        batches.workflow.check_endpoint()


def test_a_row_of_an_unknown_version_is_not_missing(batches, manifest):
    """An object that was gone when it was read has its row under the version `unknown`."""
    row = {"picture": {"S": f"s3://{BUCKET}/incoming/gone.jpg"}, "version": {"S": "unknown"}}
    batches.workflow.dynamodb.put_item(TableName="scones-test-ledger", Item=row)
    source = manifest("s3_key\nincoming/gone.jpg\n", "pictures.csv")

    assert batches.start(Undecided(batches, source, ALWAYS), lambda count: None) is None


@pytest.fixture
def aged(monkeypatch):
    """Sets the command's clock some days ahead of the bucket's."""

    def age(days):
        class Later(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) + timedelta(days=days)

        monkeypatch.setattr("scripts.workflow.batch.datetime", Later)

    return age


@pytest.fixture
def started(deployment, monkeypatch):
    """What `scones batch` starts in place of an execution: numbers of pictures."""
    numbers = []

    def start(self, inputs, report, ask):
        count = sum(1 for _ in inputs)
        if count:
            ask(count)
            numbers.append(count)
            return Batch("b", "arn", count)
        return None

    monkeypatch.setattr("scripts.cli.commands.batch.ASK_ABOVE", 2)
    monkeypatch.setattr(LocalEnvironment, "deployment", lambda _: deployment)
    monkeypatch.setattr("scripts.cli.commands.batch._wait", lambda batches, batch: "SUCCEEDED")
    monkeypatch.setattr("scripts.cli.commands.batch._show", lambda *_: None)
    monkeypatch.setattr(Batches, "start", start)
    monkeypatch.setattr(Batches, "summary", lambda *_: None)
    monkeypatch.setattr("scripts.cli.commands.batch._exit_code", lambda *_: 0)
    return numbers


@pytest.mark.parametrize("kind", ["prefix", "manifest", "manifest with versions"])
def test_a_picture_older_than_any_row_is_left_out(batches, put, manifest, aged, kind):
    """And counted."""
    versions = {key: put(key) for key in ("incoming/a.jpg", "incoming/b.jpg")}
    lines = [f"{key},{version if 'versions' in kind else ''}\n" for key, version in versions.items()]
    source = f"s3://{BUCKET}/incoming/"
    if kind != "prefix":
        source = manifest("s3_key,s3_version_id\n" + "".join(lines), "pictures.csv")

    for days, taken, left_out in ((0, 2, 0), (89, 2, 0), (91, 0, 2)):
        aged(days)
        undecided = Undecided(batches, source, batches.rows_reach_back_to())

        assert (len(list(undecided)), undecided.older) == (taken, left_out)


def test_an_old_picture_with_its_row_is_not_counted(batches, put):
    version = put("incoming/a.jpg")
    row = {"picture": {"S": f"s3://{BUCKET}/incoming/a.jpg"}, "version": {"S": version}}
    batches.workflow.dynamodb.put_item(TableName="scones-test-ledger", Item=row)
    undecided = Undecided(batches, f"s3://{BUCKET}/incoming/", datetime.now(UTC) + timedelta(days=1))

    assert (list(undecided), undecided.older) == ([], 0)


@pytest.mark.parametrize("version", ["", "named"])
def test_a_picture_that_s3_does_not_show_is_not_taken_for_gone(batches, put, manifest, monkeypatch, version):
    named = put("incoming/a.jpg") if version else ""
    source = manifest(f"s3_key,s3_version_id\nincoming/a.jpg,{named}\n", "pictures.csv")

    def refuse(**_):
        raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadObject")

    monkeypatch.setattr(batches.s3, "head_object", refuse)
    with pytest.raises(
        PictureUnseen, match=r"incoming/a.jpg has no row, and S3 does not say .* Nothing was started"
    ):
        list(Undecided(batches, source, ALWAYS))


def test_an_unknown_retention_is_not_guessed(batches):
    del batches.deployment.outputs["ledger_retention_days"]

    with pytest.raises(RetentionUnknown, match=r"nothing was done.*terraform apply.*--since"):
        batches.rows_reach_back_to()


def test_missing_says_what_it_left_out(put, aged, started):
    put("incoming/a.jpg")
    aged(91)

    bounded = CliRunner().invoke(app, ["batch", "--missing"])
    told = CliRunner().invoke(app, ["batch", "--missing", "--since", "1d"])

    assert (bounded.exit_code, bounded.stdout) == (0, "Every other picture has a row: nothing to do.\n")
    assert "Left out: 1 pictures without a row that were uploaded before" in bounded.stderr
    assert (told.exit_code, "Left out" in told.stderr) == (0, False)
    assert started == [1]


@pytest.mark.parametrize(
    ("pictures", "answer", "expected"),
    [(2, "", [2]), (3, "n\n", []), (3, "y\n", [3]), (3, "", []), (3, "--yes", [3])],
)
def test_missing_asks_above_a_number_of_pictures(put, started, pictures, answer, expected):
    for number in range(pictures):
        put(f"incoming/{number}.jpg")
    words = [answer] if answer == "--yes" else []

    result = CliRunner().invoke(app, ["batch", "--missing", *words], input=answer)

    assert started == expected
    assert result.exit_code == (0 if expected else 1)
    assert ("3 pictures have no row" in result.stderr) == (pictures == 3 and not words)


def test_what_is_named_is_started_without_a_question(put, started):
    for number in range(3):
        put(f"incoming/{number}.jpg")

    assert CliRunner().invoke(app, ["batch"]).exit_code == 0
    assert started == [3]


def test_since_needs_missing(started):
    assert "--since bounds --missing" in CliRunner().invoke(app, ["batch", "--since", "3d"]).stderr
    assert started == []


@pytest.mark.parametrize(
    "given", ['{"pictures": "x"}', f'{{"pictures": {"7" * 5000}}}', '{"pictures": 1e400}', "7"]
)
def test_an_execution_with_another_input_is_not_a_batch(batches, monkeypatch, given):
    batches.deployment.outputs["batch_state_machine_arn"] = "arn:aws:states:us-east-1:1:stateMachine:batch"
    described = {"name": "b", "input": given}
    monkeypatch.setattr(batches.states, "describe_execution", lambda **_: described)

    with pytest.raises(NoSuchBatch):
        batches.find("b")
