"""Forgetting one picture: what goes, what stays, and that it can be repeated."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from functions.common.inference_id import inference_id, picture_hash
from scripts.cli.app import app
from scripts.common.progress import silent
from scripts.operations.environment import LocalEnvironment
from scripts.workflow.bucket_layout import NoSuchPicture
from scripts.workflow.client import Workflow
from scripts.workflow.forget import ForgetFailed, Forgetting
from tests.unit.conftest import BUCKET

ODD = 'incoming/a "b"\n+%20 Fahrräder 🚲.jpg'


@pytest.fixture
def workflow(deployment):
    return Workflow(deployment)


@pytest.fixture
def forgetting(workflow, bucket):
    return lambda key: Forgetting(workflow, f"s3://{bucket.name}/{key}")


@pytest.fixture
def forget(forgetting):
    """Finds and removes; returns the counts."""

    def run(key):
        work = forgetting(key)
        traces = work.find(silent)
        work.remove(traces, silent)
        return traces.counts()

    return run


@pytest.fixture
def upload(workflow, bucket):
    """Puts a picture and its row; returns the version."""

    def put(key):
        version = bucket.put_object(Key=key, Body=b"picture").version_id
        row = {
            "picture": f"s3://{bucket.name}/{key}",
            "version": version,
            "time": f"{datetime.now(UTC):%FT%T.000Z}",
        }
        item = {name: {"S": text} for name, text in row.items()}
        workflow.dynamodb.put_item(TableName=workflow.ledger.table, Item=item)
        return version

    return put


@pytest.fixture
def capture(bucket):
    """Writes a file as data capture does, with one record for each (key, version, run)."""

    def write(*inferences, name="00-00.jsonl", hours_ago=0):
        records = [
            {
                "captureData": {"endpointInput": {"data": "iVBORw0KGgo=", "encoding": "BASE64"}},
                "eventMetadata": {
                    "eventId": f"{number}",
                    "inferenceId": inference_id(bucket.name, *inference),
                },
                "eventVersion": "0",
            }
            for number, inference in enumerate(inferences)
        ]
        hour = datetime.now(UTC) - timedelta(hours=hours_ago)
        key = f"capture/scones-test-classifier/primary/{hour:%Y/%m/%d/%H}/{name}"
        bucket.put_object(Key=key, Body="".join(json.dumps(record) + "\n" for record in records).encode())
        return key

    return write


def everything(bucket, prefix=""):
    """The content of every version of every object under a prefix."""
    versions = bucket.object_versions.filter(Prefix=prefix)
    return {
        (each.object_key, each.id): each.get()["Body"].read() for each in versions if each.size is not None
    }


@pytest.mark.parametrize("key", ["incoming/a.jpg", ODD])
def test_all_versions_and_rows_of_the_picture_go_and_nobody_elses(bucket, workflow, upload, forget, key):
    for _ in range(3):
        upload(key)
    bucket.Object(key).delete()
    upload(key)
    neighbours = [upload(f"{key}2"), upload(f"{key}/inside")]

    counts = forget(key)

    assert (counts["versions"], counts["rows"]) == (5, 4)
    assert {version for _, version in everything(bucket, "incoming/")} == {*neighbours}
    assert workflow.ledger.rows_of(f"s3://{bucket.name}/{key}") == []
    assert len(workflow.ledger.rows_of(f"s3://{bucket.name}/{key}2")) == 1


@pytest.mark.parametrize("key", ["incoming/a.jpg", ODD])
def test_captured_records_of_the_picture_go_and_others_stay(bucket, upload, capture, forget, key):
    """The records of every version and run go; the rest of the file stays."""
    first, second, other = upload(key), upload(key), upload("incoming/other.jpg")
    file = capture((key, first, 0), ("incoming/other.jpg", other, 0), (key, first, 1), (key, second, 0))
    before = bucket.Object(file).get()["Body"].read().splitlines(keepends=True)

    counts = forget(key)

    assert counts["captured"] == 3
    assert [*everything(bucket, "capture/").values()] == [before[1]]


def test_a_file_of_captured_data_about_nothing_else_goes_without_a_trace(bucket, upload, capture, forget):
    version = upload("incoming/a.jpg")
    capture(("incoming/a.jpg", version, 0))

    forget("incoming/a.jpg")

    assert [*bucket.object_versions.filter(Prefix="capture/")] == []


def test_captured_data_that_has_expired_or_was_overwritten_goes_too(bucket, upload, capture, forget):
    version = upload("incoming/a.jpg")
    for name in ("expired", "overwritten"):
        file = capture(("incoming/a.jpg", version, 0), name=f"{name}.jsonl")
        bucket.Object(file).delete() if name == "expired" else bucket.put_object(Key=file, Body=b"{}\n")

    assert forget("incoming/a.jpg")["captured"] == 2
    assert set(everything(bucket, "capture/").values()) == {b"{}\n"}


def test_hours_before_the_first_upload_are_not_searched(upload, capture, forgetting):
    version = upload("incoming/a.jpg")
    for hours in (0, 1, 50):
        capture(("incoming/a.jpg", version, 0), hours_ago=hours)

    traces = forgetting("incoming/a.jpg").find(silent)

    assert traces.counts()["captured"] == 2


@pytest.mark.parametrize("key", ["incoming/a.jpg", ODD])
def test_what_batches_wrote_keeps_all_other_pictures(bucket, upload, forget, key):
    upload(key)
    pictures = [
        {"s3_bucket": bucket.name, "s3_key": each, "s3_version_id": "v", "run": 0} for each in (key, "b.jpg")
    ]
    manifest = "".join(json.dumps(each) + "\n" for each in pictures)
    child = {"Input": json.dumps({"BatchInput": {"execution": "arn"}, "Items": pictures}), "Status": "FAILED"}
    bucket.put_object(Key="results/1/pictures.jsonl", Body=manifest.encode())
    bucket.put_object(Key="results/1/run/FAILED_0.jsonl", Body=json.dumps(child).encode() + b"\n")
    bucket.put_object(Key="results/1/run/SUCCEEDED_0.jsonl", Body=b'{"ACCEPTED":40}\n')

    counts = forget(key)

    assert counts["lines"] == 2
    (left,) = everything(bucket, "results/1/pictures.jsonl").values()
    assert json.loads(left) == pictures[1]
    (left,) = everything(bucket, "results/1/run/FAILED_0.jsonl").values()
    assert json.loads(json.loads(left)["Input"])["Items"] == pictures[1:]
    assert json.loads(left)["Status"] == "FAILED"
    assert [*everything(bucket, "results/1/run/SUCC").values()] == [b'{"ACCEPTED":40}\n']


def test_reviewed_copies_go_from_every_class_training_set_and_manifest(bucket, upload, forget):
    names = {key: picture_hash(bucket.name, key, upload(key)) for key in ("incoming/a.jpg", "incoming/b.jpg")}
    for place in ("reviewed/bicycle", "training/data/reviewed-1/train/bicycle"):
        for name in names.values():
            bucket.put_object(Key=f"{place}/{name}.jpg", Body=name.encode())
    bucket.put_object(Key=f"reviewed/motorcycle/{names['incoming/a.jpg']}.jpg", Body=b"relabelled")
    bucket.Object(f"reviewed/motorcycle/{names['incoming/a.jpg']}.jpg").delete()
    lines = [
        json.dumps({"source-ref": f"s3://{bucket.name}/reviewed/bicycle/{name}.jpg", "class": 0}) + "\n"
        for name in names.values()
    ]
    bucket.put_object(Key="reviewed/manifest.jsonl", Body="".join(lines).encode())

    counts = forget("incoming/a.jpg")

    assert (counts["copies"], counts["lines"]) == (4, 1)
    left = everything(bucket, "reviewed/") | everything(bucket, "training/")
    assert sorted(left.values()) == sorted([names["incoming/b.jpg"].encode()] * 2 + [lines[1].encode()])


def test_forgetting_again_finds_nothing(upload, capture, forget):
    version = upload("incoming/a.jpg")
    capture(("incoming/a.jpg", version, 0))

    forget("incoming/a.jpg")

    assert not any(forget("incoming/a.jpg").values())


def test_a_picture_whose_object_is_gone_is_found_by_its_rows(bucket, upload, capture, forget):
    version = upload("incoming/a.jpg")
    capture(("incoming/a.jpg", version, 0))
    bucket.Object("incoming/a.jpg").Version(version).delete()

    assert forget("incoming/a.jpg") == {"versions": 0, "rows": 1, "copies": 0, "captured": 1, "lines": 0}


def test_after_an_interruption_the_rest_is_still_found(upload, capture, forgetting, monkeypatch):
    version = upload("incoming/a.jpg")
    capture(("incoming/a.jpg", version, 0))
    work = forgetting("incoming/a.jpg")
    traces = work.find(silent)
    monkeypatch.setattr(work.ledger, "remove", lambda row: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        work.remove(traces, silent)

    again = forgetting("incoming/a.jpg").find(silent).counts()

    assert again == {"versions": 1, "rows": 1, "copies": 0, "captured": 0, "lines": 0}


def test_a_picture_can_be_forgotten_after_half_an_hour(bucket, upload, forgetting):
    """Half an hour after its last version and its last decision."""
    assert forgetting("incoming/a.jpg").find(silent).settled() is None
    upload("incoming/a.jpg")
    settled = forgetting("incoming/a.jpg").find(silent).settled()
    assert timedelta(minutes=29) < settled - datetime.now(UTC) <= timedelta(minutes=30)

    bucket.Object("incoming/a.jpg").delete()

    assert forgetting("incoming/a.jpg").find(silent).settled() == settled


def test_two_who_forget_at_once_bring_nothing_back(upload, capture, forgetting, bucket):
    versions = {key: upload(key) for key in ("incoming/a.jpg", "incoming/b.jpg", "incoming/c.jpg")}
    capture(*((key, version, 0) for key, version in versions.items()))
    mine, theirs = forgetting("incoming/a.jpg"), forgetting("incoming/b.jpg")
    my_traces, their_traces = mine.find(silent), theirs.find(silent)
    theirs.remove(their_traces, silent)

    with pytest.raises(ForgetFailed, match="changed by somebody else"):
        mine.remove(my_traces, silent)
    mine.remove(mine.find(silent), silent)

    (left,) = everything(bucket, "capture/").values()
    assert left.count(b"inferenceId") == 1
    assert inference_id(bucket.name, "incoming/c.jpg", versions["incoming/c.jpg"], 0).encode() in left


@pytest.mark.parametrize("action", ["get_object", "delete_objects"])
def test_a_missing_permission_is_named(action, upload, capture, forgetting, monkeypatch):
    version = upload("incoming/a.jpg")
    capture(("incoming/a.jpg", version, 0))
    work = forgetting("incoming/a.jpg")
    operation = "".join(part.title() for part in action.split("_"))

    def refuse(**_request):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "explicit deny"}}, operation)

    traces = None if action == "get_object" else work.find(silent)
    monkeypatch.setattr(work.s3, action, refuse)
    with pytest.raises(ForgetFailed, match=f"{operation} needs s3:"):
        work.remove(traces, silent) if traces else work.find(silent)


@pytest.mark.parametrize(
    "key",
    [
        "models/m/model.tar.gz",
        "models/m/picture.jpg",
        "capture/e/primary/x.jsonl",
        "results/1/pictures.jsonl",
        "reviewed/manifest.jsonl",
        "reviewed/picture.jpg",
        "reviewed/bicycle/manifest.jsonl",
        "training/job/output/model.tar.gz",
        "training/job/source/sourcedir.tar.gz",
        "training/job/checkpoints/picture.jpg",
        "training/data/set/manifest.json",
        "training/data/set/train.lst",
        "training/data/set/cifar-100.tar.gz",
        "training/data/set/train/bicycle/list.json",
        "training/data/picture.jpg",
        f"training/data/{'a' * 40}",
    ],
)
def test_the_deployments_own_files_are_not_pictures(forgetting, key):
    with pytest.raises(ForgetFailed, match="file of the deployment itself"):
        forgetting(key)


@pytest.mark.parametrize(
    "key",
    [
        f"reviewed/bicycle/{'a' * 40}.jpe",
        f"reviewed/bicycle/{'a' * 40}",
        f"training/data/reviewed-1/train/bicycle/{'a' * 40}.jpg",
        "training/data/set/train/mountain bike/van-17.PNG",
        "training/data/set/bicycle/van-17.webp",
        "archive/2026/notes.txt",
        "reviewed.jpg",
    ],
)
def test_pictures_and_copies_of_them_can_be_forgotten(forget, bucket, key):
    bucket.put_object(Key=key, Body=b"picture")

    assert forget(key)["versions"] == 1
    assert everything(bucket) == {}


def test_an_emptied_manifest_does_not_bring_an_older_one_back(bucket, upload, forget):
    """The older one holds a label that somebody has withdrawn since."""
    copy = f"reviewed/bicycle/{picture_hash(bucket.name, 'incoming/a.jpg', upload('incoming/a.jpg'))}.jpg"
    for line in ("withdrawn", copy):
        body = json.dumps({"source-ref": f"s3://{bucket.name}/{line}"}).encode() + b"\n"
        bucket.put_object(Key="reviewed/manifest.jsonl", Body=body)

    forget("incoming/a.jpg")

    assert bucket.Object("reviewed/manifest.jsonl").get()["Body"].read() == b""
    assert len(everything(bucket, "reviewed/manifest.jsonl")) == 2


# How many requests change something when the next test's picture is forgotten.
CHANGES = 12


class Cut(Exception):
    """Whatever ends a command between two requests."""


def present(bucket):
    """The content of what an ordinary listing shows."""
    return {each.key: each.get()["Body"].read() for each in bucket.objects.all()}


@pytest.fixture
def cut_at(monkeypatch):
    """Ends the work at the nth request that changes something: before it, after a part of it, or after it."""

    def arm(work, number, moment):
        done = []

        def cutting(change):
            def run(**request):
                done.append(change)
                if len(done) - 1 != number:
                    return change(**request)
                if moment == "within" and len(named := request.get("Delete", {}).get("Objects", [])) > 1:
                    change(**request | {"Delete": {"Objects": named[:1]}})
                elif moment == "after":
                    change(**request)
                raise Cut

            return run

        for client, name in (
            (work.s3, "put_object"),
            (work.s3, "delete_objects"),
            (work.ledger.dynamodb, "delete_item"),
        ):
            monkeypatch.setattr(client, name, cutting(getattr(client, name)))
        return done

    return arm


@pytest.fixture
def scene(bucket, upload, capture):
    """A picture of two versions in every place that may hold it, and a label that was withdrawn."""
    other, versions = upload("incoming/b.jpg"), [upload("incoming/a.jpg"), upload("incoming/a.jpg")]
    bucket.Object("incoming/a.jpg").delete()
    names = [picture_hash(bucket.name, "incoming/a.jpg", version) for version in versions]
    for label in ("bicycle", "motorcycle"):
        bucket.put_object(Key=f"reviewed/{label}/{names[0]}.jpg", Body=b"copy")
    bucket.Object(f"reviewed/bicycle/{names[0]}.jpg").delete()
    for name in (names[0], "withdrawn", names[0]):
        line = json.dumps({"source-ref": f"s3://{bucket.name}/reviewed/bicycle/{name}.jpg"})
        bucket.put_object(Key="reviewed/manifest.jsonl", Body=f"{line}\n".encode())
    capture(("incoming/a.jpg", versions[0], 0), ("incoming/b.jpg", other, 0))
    capture(("incoming/a.jpg", versions[1], 0), name="01-00.jsonl")
    return bucket, names


@pytest.mark.parametrize("moment", ["before", "within", "after"])
@pytest.mark.parametrize("number", range(CHANGES))
def test_a_forget_that_was_cut_off_can_be_repeated(scene, forgetting, cut_at, number, moment):
    """Wherever it was cut off: nothing comes back, and a repetition does the rest."""
    bucket, names = scene
    before, work = present(bucket), forgetting("incoming/a.jpg")
    traces = work.find(silent)
    cut_at(work, number, moment)

    with pytest.raises(Cut):
        work.remove(traces, silent)

    for key, content in present(bucket).items():
        assert content == before[key] or names[0].encode() not in content
        assert b"withdrawn" not in content
    rest = work.find(silent)
    work.remove(rest, silent)
    assert any(rest.counts().values()) != (number == CHANGES - 1 and moment == "after")
    first, second, third = sorted(present(bucket))
    assert first.startswith("capture/")
    assert (second, third) == ("incoming/b.jpg", "reviewed/manifest.jsonl")
    assert present(bucket)[third] == b""
    assert not any(name.encode() in content for name in names for content in everything(bucket).values())


@pytest.fixture
def denied(deployment, monkeypatch):
    """Denies an operation on one prefix to `scones forget`."""
    made = type(deployment).client

    def deny(operation, prefix):
        def refuse(params, model, **_):
            if params.get("Prefix", "") == prefix:
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "explicit deny"}}, model.name)

        def client(_, service):
            answer = made(deployment, service)
            answer.meta.events.register(f"before-parameter-build.*.{operation}", refuse)
            return answer

        monkeypatch.setattr(type(deployment), "client", client)
        monkeypatch.setattr(LocalEnvironment, "deployment", lambda _: deployment)

    return deny


@pytest.mark.parametrize(
    ("operation", "prefix"),
    [
        ("ListObjectVersions", "incoming/a.jpg"),
        ("ListObjectVersions", "reviewed/"),
        ("ListObjectVersions", "capture/"),
        ("ListObjectVersions", "results/"),
        ("Query", ""),
    ],
)
def test_where_something_cannot_be_listed_nothing_is_removed(scene, denied, operation, prefix):
    bucket, _ = scene
    before = everything(bucket)
    denied(operation, prefix)

    result = CliRunner().invoke(app, ["forget", f"s3://{BUCKET}/incoming/a.jpg", "--now", "--yes"])

    assert result.exit_code == 1
    assert f"You may not: {operation} needs" in result.stderr
    assert everything(bucket) == before


def test_a_picture_of_another_bucket_loses_its_rows_only(workflow, bucket):
    item = {"picture": {"S": "s3://somebody-elses/a.jpg"}, "version": {"S": "unknown"}}
    workflow.dynamodb.put_item(
        TableName=workflow.ledger.table, Item=item | {"time": {"S": "2026-11-20T12:00:00.000Z"}}
    )
    bucket.put_object(Key="a.jpg", Body=b"ours")

    work = Forgetting(workflow, "s3://somebody-elses/a.jpg")
    traces = work.find(silent)
    work.remove(traces, silent)

    assert traces.counts() == {"versions": 0, "rows": 1, "copies": 0, "captured": 0, "lines": 0}
    assert len(everything(bucket)) == 1


@pytest.mark.parametrize("uri", ["incoming/a.jpg", "s3://bucket", "s3://bucket/", "https://bucket/a.jpg"])
def test_what_names_no_object_is_refused(workflow, uri):
    with pytest.raises(NoSuchPicture, match="names no object"):
        Forgetting(workflow, uri)


@pytest.mark.parametrize("uri", [f"s3://{BUCKET}/incoming/mistyped.jpg", "s3://elsewhere/incoming/a.jpg"])
def test_what_was_not_found_does_not_read_like_something_removed(deployment, upload, monkeypatch, uri):
    monkeypatch.setattr(LocalEnvironment, "deployment", lambda _: deployment)
    upload("incoming/a.jpg")

    result = CliRunner().invoke(app, ["forget", uri])

    assert (result.exit_code, "Removed" in result.stdout) == (0, False)
    assert result.stdout.startswith(f"Nothing of {uri} was found")


def test_a_folder_is_refused_as_not_a_prefix(deployment, upload, monkeypatch):
    monkeypatch.setattr(LocalEnvironment, "deployment", lambda _: deployment)
    upload("incoming/a.jpg")

    result = CliRunner().invoke(app, ["forget", f"s3://{BUCKET}/incoming/"])

    assert "A key that ends in / is not a prefix" in result.stdout
