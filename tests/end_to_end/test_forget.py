"""scones forget: one picture is removed from everywhere, whatever the workflow has written about it."""

import json

from functions.common.inference_id import picture_hash


def stored(workflow, prefix: str) -> str:
    """The content of every version of every object under a prefix, as one text."""
    bucket = workflow.deployment.bucket
    pages = workflow.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    versions = [(each["Key"], each["VersionId"]) for page in pages for each in page.get("Versions", [])]
    bodies = [
        workflow.s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"] for key, version in versions
    ]
    return "".join(body.read().decode(errors="replace") for body in bodies)


def test_a_picture_is_forgotten_with_its_versions_rows_and_captures(
    scones, workflow, bicycle, doubtful, eventually
):
    bucket, key = workflow.deployment.bucket, "incoming/please forget+me.jpg"
    uri = f"s3://{bucket}/{key}"
    versions = [
        workflow.s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())["VersionId"]
        for path in (bicycle, doubtful)
    ]
    eventually(lambda: len(workflow.ledger.rows_of(uri)) == 2)
    other = workflow.classify(str(bicycle))
    hashes = [picture_hash(bucket, key, version) for version in versions]
    kept = picture_hash(bucket, other.uri.removeprefix(f"s3://{bucket}/"), other.version)
    eventually(lambda: all(name in stored(workflow, "capture/") for name in (*hashes, kept)))
    workflow.s3.delete_object(Bucket=bucket, Key=key)

    early, asked = scones("forget", uri, "--yes"), scones("forget", uri, "--now")
    first, second = (scones("forget", uri, "--now", "--yes", "--json") for _ in range(2))

    assert [result.exit_code for result in (early, asked, first, second)] == [5, 1, 0, 0]
    assert "too early" in early.stderr
    assert "2 rows of the ledger" in asked.stderr
    removed = json.loads(first.stdout)
    assert (removed["versions"], removed["rows"], removed["captured"]) == (3, 2, 2)
    assert not any(json.loads(second.stdout)[kind] for kind in ("versions", "rows", "captured", "lines"))
    assert workflow.ledger.rows_of(uri) == []
    assert not any(name in stored(workflow, "capture/") for name in hashes)
    assert kept in stored(workflow, "capture/")
    assert workflow.row(other.uri, other.version)


def test_what_cannot_be_reached_is_said(scones, workflow):
    result = scones("forget", f"s3://{workflow.deployment.bucket}/incoming/nobody-sent-it.jpg")

    assert result.exit_code == 0
    assert "No version of it is known" in result.stdout
    assert "executions of the last 90 days" in result.stdout
