"""Random execution inputs from what is in the bucket."""

import pytest

from scripts.workflow import sample_inputs
from scripts.workflow.bucket_layout import NoSuchPicture
from scripts.workflow.client import Workflow


@pytest.fixture
def workflow(deployment):
    return Workflow(deployment)


@pytest.fixture
def pictures(bucket):
    return {
        name: bucket.put_object(Key=f"incoming/{name}.jpg", Body=name.encode()).version_id
        for name in "abcdefgh"
    }


def names(inputs):
    return [each["s3_key"].removeprefix("incoming/").removesuffix(".jpg") for each in inputs]


def test_an_input_has_the_shape_that_the_state_machine_takes(workflow, pictures, bucket, event):
    (given,) = sample_inputs.draw(workflow, "incoming/", 1, seed=None)

    assert set(given) == set(event("execution_input"))
    assert given["s3_bucket"] == bucket.name
    assert given["s3_version_id"] == pictures[names([given])[0]]
    assert (given["image_data"], given["run"]) == ("", 0)


def test_the_same_seed_draws_the_same_different_objects(workflow, pictures):
    drawn = [names(sample_inputs.draw(workflow, "incoming/", 4, seed)) for seed in (1, 1, 2, 3)]

    assert drawn[0] == drawn[1]
    assert len({tuple(each) for each in drawn}) > 1
    assert all(len(set(each)) == 4 for each in drawn)


def test_every_object_is_drawn_sometimes_and_none_from_elsewhere(workflow, pictures, bucket):
    bucket.put_object(Key="submitted/x.jpg", Body=b"x")
    bucket.put_object(Key="incoming/folder/", Body=b"")

    drawn = {name for seed in range(60) for name in names(sample_inputs.draw(workflow, "incoming/", 1, seed))}

    assert drawn == set(pictures)


def test_fewer_objects_than_asked_for_are_all_drawn_once(workflow, pictures):
    assert sorted(names(sample_inputs.draw(workflow, "incoming/", 20, seed=1))) == sorted(pictures)


def test_a_picture_with_a_row_gets_the_next_run(workflow, pictures, bucket):
    key = {"picture": {"S": f"s3://{bucket.name}/incoming/a.jpg"}, "version": {"S": pictures["a"]}}
    workflow.dynamodb.put_item(TableName=workflow.ledger.table, Item=key | {"run": {"N": "3"}})

    (given,) = sample_inputs.draw(workflow, "incoming/a", 1, seed=1)

    assert given["run"] == 4


def test_an_empty_prefix_says_what_to_do(workflow, pictures):
    with pytest.raises(NoSuchPicture, match="nowhere/ holds no object"):
        sample_inputs.draw(workflow, "nowhere/", 1, seed=1)
