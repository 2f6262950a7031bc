"""What ties a captured request of the endpoint to its row in the ledger."""

import hashlib

# The highest run: every reader of JSON, including JSONata, distinguishes whole numbers up to here.
MAX_RUN = 10**15


def picture_hash(s3_bucket: str, s3_key: str, s3_version_id: str) -> str:
    """40 hex digits for one version of a picture; they do not reveal its name."""
    named = f"s3://{s3_bucket}/{s3_key}\n{s3_version_id}"
    return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def inference_id(s3_bucket: str, s3_key: str, s3_version_id: str, run: int) -> str:
    """`<picture_hash>-<run>`, within SageMaker's 64 printable characters.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
    """
    return f"{picture_hash(s3_bucket, s3_key, s3_version_id)}-{run}"
