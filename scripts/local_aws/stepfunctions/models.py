"""What Step Functions keeps: state machines, their revisions and versions, and who started an execution."""

import functools
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from scripts.local_aws.iam.authorization import Caller
from scripts.local_aws.stepfunctions.map_runs import MapRun


@dataclass(frozen=True)
class Revision:
    """A definition with its role and settings; an execution keeps the one it started with."""

    definition: str
    role_arn: str
    settings: dict[str, Any]
    date: float = field(default_factory=time.time)
    revision_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @functools.cached_property
    def parsed(self) -> dict[str, Any]:
        """The definition, which nobody changes."""
        parsed: dict[str, Any] = json.loads(self.definition)
        return parsed


@dataclass(frozen=True)
class Version:
    arn: str
    revision: Revision
    description: str
    date: float = field(default_factory=time.time)


@dataclass
class Machine:
    arn: str
    name: str
    kind: str
    revision: Revision
    tags: dict[str, str]
    date: float = field(default_factory=time.time)
    versions: list[Version] = field(default_factory=list)
    published: int = 0


class Origin(NamedTuple):
    """What an execution runs, and of how many items of which Map Run it is a child."""

    machine: Machine
    revision: Revision
    version_arn: str | None
    map_run: MapRun | None = None
    items: int = 0

    @property
    def caller(self) -> Caller:
        """Who makes the calls: the machine's role; the children of a Map Run act for the machine that has it."""
        return Caller("states.amazonaws.com", self.revision.role_arn, self.machine.arn.partition("/")[0])
