"""A batch of pictures in the bucket: its manifest, and what its results say became of the pictures.

`results/<batch>/pictures.jsonl` is the manifest. Beside it Step Functions writes, into a folder for each Map Run, a
manifest.json that names the files with the children's results: what a child counted, or how it failed.
https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
"""

import dataclasses
import json
from collections import Counter
from typing import Any

DECIDED_BEFORE = "DECIDED_BEFORE"
UNRECORDED = "UNRECORDED"
# The error of a child that gave up because of its pictures' errors; its cause is what it counted.
CHILD_GAVE_UP = "PicturesFailed"


def folder(batch: str) -> str:
    return f"results/{batch}/"


def manifest_key(batch: str) -> str:
    return f"{folder(batch)}pictures.jsonl"


@dataclasses.dataclass(frozen=True)
class Summary:
    """What became of a batch. `errors` counts the failed pictures by named error; the rest are numbers of pictures."""

    pictures: int
    accepted: int
    low_confidence: int
    rejected: int
    errors: Counter[str]
    decided_before: int

    @property
    def failed(self) -> int:
        return self.errors.total()

    @property
    def undecided(self) -> int:
        """Pictures whose end no child has reported, or the ledger has not taken."""
        reported = self.accepted + self.low_confidence + self.rejected + self.failed + self.decided_before
        return max(0, self.pictures - reported)

    @property
    def has_news(self) -> bool:
        """Whether the batch decided anything, or left anything undone."""
        return self.decided_before < self.pictures


def summarize(pictures: int, outcomes: Counter[str]) -> Summary:
    """The summary of a manifest with this number of pictures and what its results count."""
    errors = Counter(outcomes)
    statuses = ("ACCEPTED", "LOW_CONFIDENCE", "REJECTED", DECIDED_BEFORE, UNRECORDED)
    accepted, low_confidence, rejected, before, _ = (errors.pop(status, 0) for status in statuses)
    return Summary(pictures, accepted, low_confidence, rejected, errors, before)


def count_outcomes(s3: Any, bucket: str, batch: str) -> Counter[str]:
    """Pictures by status, or by named error if they failed, as far as the batch's results are in the bucket.

    `s3` is a boto3 client, whose exceptions pass.
    """
    outcomes: Counter[str] = Counter()
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder(batch))
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    for key in keys:
        if key.endswith("/manifest.json"):
            files = json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])["ResultFiles"]
            for file in files["SUCCEEDED"] + files["FAILED"]:
                for line in s3.get_object(Bucket=bucket, Key=file["Key"])["Body"].iter_lines():
                    outcomes.update(_counted(json.loads(line)))
    return outcomes


def _counted(result: dict[str, Any]) -> dict[str, int]:
    """What a child that succeeded or gave up counted; nothing for one that was cut off."""
    if "Status" not in result:
        return result
    return json.loads(result["Cause"]) if result.get("Error") == CHILD_GAVE_UP else {}
