"""What a deployment has left in an account is found and removed, and nothing of any other deployment.

The account holds one thing of every kind for `scones-dev`, and the same for its neighbours: `scones-dev2`, whose name begins
like it; `scones-dev-prod`, a project called scones-dev, whose names even begin with `scones-dev-`; `scones-prod`, the
same project; and things of nobody.
"""

import pytest
from inhabited_account import NUMBER, REGION, client, tags, there

from scripts.common.progress import silent
from scripts.operations import leftovers
from scripts.operations.leftovers import Sweep
from scripts.operations.resource_kinds import KINDS


def test_one_thing_of_every_kind_is_found(account, neighbours):
    found = there("scones-dev")

    # moto's training jobs have ended before they can be seen running. Two log groups: one has no tags.
    assert {kind for kind, _ in found} == {kind.name for kind in KINDS} - {"running training job"}
    assert len(found) == len(KINDS)
    assert all("scones-dev2" not in name and "scones-dev-prod" not in name for _, name in found)


def test_all_of_it_goes_and_nothing_of_a_neighbour_does(account, neighbours):
    before = {prefix: there(prefix) for prefix in neighbours}
    sweep = Sweep(account)

    sweep.remove(sweep.find(silent).leftovers, silent)
    left = sweep.find(silent)

    assert (left.leftovers, left.unseen) == ([], [])
    assert len(left.going) == 1
    assert "goes by itself on" in left.going[0]
    assert {prefix: there(prefix) for prefix in neighbours} == before
    names = {bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]}
    assert names == {"scones-dev-state", *(f"{prefix}-{NUMBER}-{REGION}" for prefix in neighbours)}


def test_it_can_be_repeated_and_goes_on_where_it_was_interrupted(account):
    sweep = Sweep(account)

    def ctrl_c(text, _share):
        if text.startswith("Removing: queue"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.remove(sweep.find(silent).leftovers, ctrl_c)
    half = sweep.find(silent)
    sweep.remove(half.leftovers, silent)

    assert "endpoint" not in {each.kind for each in half.leftovers}
    assert "bucket" in {each.kind for each in half.leftovers}
    assert sweep.find(silent).leftovers == []
    sweep.remove(half.leftovers, silent)  # all gone: no fault


def test_a_name_decides_only_without_tags(account, neighbours):
    sqs, logs = client("sqs"), client("logs")
    sqs.create_queue(
        QueueName="scones-dev-somebody-elses", tags={"project": "scones", "environment": "other"}
    )
    logs.create_log_group(logGroupName="/aws/lambda/scones-dev-made-by-hand")
    logs.create_log_group(logGroupName="/aws/lambda/scones-dev-prod-made-by-hand")
    logs.create_log_group(logGroupName="/aws/lambda/my-scones-dev-thing")

    names = [name for _, name in there("scones-dev")]

    assert "/aws/lambda/scones-dev-made-by-hand" in names
    assert not any(
        "somebody-elses" in name or "prod-made-by-hand" in name or "my-scones" in name for name in names
    )


def test_a_key_that_was_handed_to_the_deployment_is_nobodys_leftover(account):
    own = tags("scones", "dev", key="TagKey", value="TagValue")
    handed = client("kms").create_key(Description="The organisation's", Tags=own)["KeyMetadata"]["KeyId"]

    assert handed not in [name for _, name in there("scones-dev")]


def test_what_must_not_be_read_is_named_and_not_a_success(account, monkeypatch):
    sweep = Sweep(account)
    refusing = client("sqs")
    refused = leftovers.ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListQueues")

    def refuse(**_):
        raise refused

    refusing.meta.events.register("before-call.sqs.ListQueues", refuse)
    own = sweep.client
    monkeypatch.setattr(sweep, "client", lambda service: refusing if service == "sqs" else own(service))

    swept = sweep.find(silent)

    assert len(swept.unseen) == 1
    assert swept.unseen[0].startswith("queue: ")
    assert swept.of("bucket")
