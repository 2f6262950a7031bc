"""A packed model, opened and hashed once: what is judged is what is published."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from training_scripts import artifact


@dataclass(frozen=True)
class ModelArchive:
    """A model.tar.gz: its bytes, and the description and network that are in it."""

    content: bytes
    description: dict[str, Any]
    network: bytes

    @classmethod
    def open(cls, path: Path) -> "ModelArchive":
        """Raises ArtifactError."""
        return cls.of(artifact.content_of(path), str(path))

    @classmethod
    def of(cls, content: bytes, place: str) -> "ModelArchive":
        """The archive with these bytes; `place` names it in the error. Raises ArtifactError."""
        return cls(content, *artifact.unpacked(content, place))

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def name(self) -> str:
        return str(self.description["name"])

    @property
    def classes(self) -> list[str]:
        """The classes of interest."""
        return list(self.description["classes_of_interest"])
