"""What ties an answer of the model to the labels that this deployment expects."""

import hashlib
from collections.abc import Sequence


def labels_hash(labels: Sequence[str]) -> str:
    """First 12 hex digits of the SHA-256 of the labels, one per line, in the order of the model's outputs."""
    return hashlib.sha256("\n".join(labels).encode()).hexdigest()[:12]
