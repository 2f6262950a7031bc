"""What is where in the bucket, and how a picture in it is named."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from scripts.common.errors import UserError
from scripts.common.s3 import parse_uri

SUBMITTED = "submitted"
# What the project itself writes into the bucket: nothing there is classified.
CAPTURES, RESULTS = "capture/", "results/"
OWN_PREFIXES = (CAPTURES, RESULTS, "models/", "reviewed/", "training/")

REVIEWED = "reviewed"
REVIEW_MANIFEST = f"{REVIEWED}/manifest.jsonl"
SUFFIX = re.compile(r"[.][a-z0-9]{1,5}")


class NoSuchPicture(UserError):
    """A file or S3 object that cannot be submitted; the message says which and why."""


@dataclass(frozen=True)
class Picture:
    """One picture version in S3."""

    s3_bucket: str
    s3_key: str
    s3_version_id: str

    @property
    def uri(self) -> str:
        return f"s3://{self.s3_bucket}/{self.s3_key}"


def bucket_and_key(uri: str) -> tuple[str, str]:
    """The parts of s3://BUCKET/KEY. Raises NoSuchPicture."""
    bucket, key = parse_uri(uri)
    if not (bucket and key):
        raise NoSuchPicture(f"{uri} names no object: write s3://BUCKET/KEY.")
    return bucket, key


def execution_input(picture: Picture, run: int) -> dict[str, Any]:
    """The state machine's input, in the shape of the original workflow."""
    return {"image_data": "", **asdict(picture), "run": run}
