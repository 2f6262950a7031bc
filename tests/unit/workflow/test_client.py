"""Pictures on their way into the workflow."""

import pytest

from scripts.workflow.bucket_layout import NoSuchPicture
from scripts.workflow.client import Workflow


def test_files_that_cannot_be_read_are_all_named_before_anything_starts(deployment, bucket, tmp_path):
    (tmp_path / "there.jpg").write_bytes(b"x")
    sources = [str(tmp_path / name) for name in ("there.jpg", "missing.jpg", "gone.jpg")]

    with pytest.raises(NoSuchPicture, match=r"missing\.jpg, .*gone\.jpg, .* cannot be read, so nothing was"):
        next(Workflow(deployment).classify_all([*sources, str(tmp_path)]))

    assert [*bucket.objects.all()] == []
