"""Finds everything that a deployment has left in an account, by tag and by name, and removes it.

A resource belongs to a deployment if its `project` and `environment` tags match. Untagged resources
are matched by name: some part must equal the prefix or start with `prefix-`. One prefix may start
with another (`scones-dev` and, for a project called `scones-dev`, `scones-dev-prod`). So an
untagged resource is left alone if its name also matches another deployment that was found. A
service that could not be searched may hide such a deployment: then nothing may be removed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from scripts.common.progress import Progress
from scripts.deployment.identity import Account
from scripts.operations.resource_kinds import KINDS, Kind, Leftover

# How the services say, each in its own words, that something does not exist.
NOTHING = re.compile("NotFound|NoSuch|NonExistent|DoesNotExist|Could not find")
DENIED = re.compile("Denied|Unauthorized|Forbidden|NotAuthorized")
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")

Tags = dict[str, str]


class OtherRegion(Exception):
    """The same name is deployed in another region, too, and shares this one's global resources."""


BY_NAME = {kind.name: kind for kind in KINDS}
# https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/overview.html lags behind
# the services that are asked themselves.
ASKED_SERVICES = {*(kind.service for kind in KINDS), "states"}


@dataclass
class Swept:
    """What was found; keys that AWS is going to delete; what could not be searched, and why."""

    leftovers: list[Leftover] = field(default_factory=list)
    going: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    def of(self, kind: str) -> list[Leftover]:
        return [each for each in self.leftovers if each.kind == kind]


class Sweep:
    """Finds and removes what a deployment has left.

    Args:
        account: the deployment's.
    """

    def __init__(self, account: Account):
        self.account = account
        self.client = cache(account.client)
        self.own = {"project": account.project, "environment": account.environment}

    def find(self, progress: Progress) -> Swept:
        """Searches every service; the result names those that denied the search."""
        swept, untagged, others = Swept(), [], set()
        for number, kind in enumerate(KINDS):
            progress(f"Looking for what is there: {kind.name}", number / len(KINDS))
            try:
                for found, tags in self._candidates(kind):
                    own = {key: value for key, value in tags.items() if key in self.own}
                    if own == self.own:
                        swept.leftovers.append(found)
                    elif own.items() <= self.own.items():
                        untagged.append(replace(found, by_name=True))
                    elif own.keys() == self.own.keys() and _belongs(
                        other := f"{own['project']}-{own['environment']}", self.account.prefix
                    ):
                        others.add(other)
            except (ClientError, BotoCoreError, OtherRegion) as error:
                swept.unseen.append(f"{kind.name}: {error}")
        swept.leftovers += [it for it in untagged if not any(_belongs(it.name, other) for other in others)]
        self._add_by_tag(swept)
        order = [*BY_NAME]
        swept.leftovers.sort(key=lambda it: order.index(it.kind) if it.kind in BY_NAME else len(order))
        for each in [it for it in swept.leftovers if it.kind == "key"]:
            self._drop_pending_key(each, swept)
        return swept

    def is_precious(self, leftover: Leftover) -> bool:
        """Whether people would miss it."""
        kind = BY_NAME.get(leftover.kind)
        return kind is None or kind.precious

    def described(self, leftover: Leftover) -> str:
        """How much a resource holds, in words."""
        kind = BY_NAME.get(leftover.kind)
        return kind.detail(self.client(kind.service), leftover.name) if kind else ""

    def remove(self, leftovers: list[Leftover], progress: Progress) -> None:
        """Removes resources in an order that works; skips what is gone. Raises ClientError."""
        known = [each for each in leftovers if each.kind in BY_NAME]
        for number, each in enumerate(known):
            progress(f"Removing: {each.kind} {each.name}", number / len(known))
            kind = BY_NAME[each.kind]
            try:
                kind.remove(self.client(kind.service), each, progress)
            except ClientError as error:
                if not _says_not_found(error):
                    raise

    def _candidates(self, kind: Kind) -> Iterator[tuple[Leftover, Tags]]:
        """Resources of one kind whose name may be the deployment's, with their tags."""
        client = self.client(kind.service)
        operation, path = kind.listing
        pages = client.get_paginator(operation).paginate(**kind.asked(self.account))
        try:
            # Some services leave the list out of a page that is empty.
            listed = [pair for pair in pages.search(path) if pair]
        except ClientError as error:
            if _says_not_found(error):
                return
            raise
        for name, listed_id in listed:
            identity = kind.id.format(id=listed_id, name=name, **vars(self.account))
            if kind.name == "key":
                mine = self._made_for_this(client, identity)
            elif kind.name == "bucket":
                # Other buckets may start with the prefix: the state's does.
                mine = name == self.account.bucket
                self._check_region(name)
            else:
                mine = _belongs(name, self.account.prefix)
            if mine:
                yield Leftover(kind.name, name, identity), self._tags(kind, identity)

    def _tags(self, kind: Kind, identity: str) -> Tags:
        if kind.tags is None:
            return {}
        operation, parameter = kind.tags
        try:
            answer = getattr(self.client(kind.service), operation)(**{parameter: identity})
        except ClientError as error:
            if _says_not_found(error):
                return {}
            raise
        return _as_tags(answer)

    def _made_for_this(self, kms: Any, key: str) -> bool:
        """Whether a key was made for the deployment: keys have no name.

        One that was passed in was not.
        """
        try:
            described = kms.describe_key(KeyId=key)["KeyMetadata"]
        except ClientError as error:
            # Permission to read a deployment's keys does not cover everybody's.
            if error.response["Error"]["Code"] == "AccessDeniedException" and not self._is_named(kms, key):
                return False
            raise
        return bool(described["Description"].endswith(f"(alias/{self.account.prefix})"))

    def _is_named(self, kms: Any, key: str) -> bool:
        aliases = kms.get_paginator("list_aliases").paginate(KeyId=key).search("Aliases[].AliasName")
        return f"alias/{self.account.prefix}" in [*aliases]

    def _check_region(self, bucket: str) -> None:
        """Roles and budgets are global: a namesake in another region would lose them."""
        before, region = f"{self.account.prefix}-{self.account.number}-", self.account.region
        other = bucket.removeprefix(before)
        if bucket != other and REGION.fullmatch(other) and other != region:
            raise OtherRegion(
                f"{bucket} is there, so {self.account.prefix} is also deployed in {other}, with the same roles as in "
                f'{region}: set region = "{other}" and destroy that first, or delete the bucket if it is a remnant'
            )

    def _add_by_tag(self, swept: Swept) -> None:
        """Adds resources of services that are not searched: they can be listed, not removed."""
        filters = [{"Key": key, "Values": [value]} for key, value in self.own.items()]
        try:
            pages = (
                self.client("resourcegroupstaggingapi")
                .get_paginator("get_resources")
                .paginate(TagFilters=filters)
            )
            arns = [arn for arn in pages.search("ResourceTagMappingList[].ResourceARN") if arn]
        except (ClientError, BotoCoreError) as error:
            swept.unseen.append(f"by tag: {error}")
            return
        swept.leftovers += [
            Leftover("by tag", arn, arn) for arn in arns if arn.split(":")[2] not in ASKED_SERVICES
        ]

    def _drop_pending_key(self, key: Leftover, swept: Swept) -> None:
        """A key with a deletion date is not a leftover: AWS deletes it on that day."""
        facts = self.client("kms").describe_key(KeyId=key.id)["KeyMetadata"]
        if facts["KeyState"] != "PendingDeletion":
            return
        swept.leftovers.remove(key)
        day: datetime = facts["DeletionDate"]
        swept.going.append(
            f"key {key.id} goes by itself on {day:%Y-%m-%d} (aws kms cancel-key-deletion keeps it)"
        )


def _belongs(name: str, prefix: str) -> bool:
    """Whether a part of a name, an ARN or a path equals the prefix or starts with it and a dash."""
    return any(part == prefix or part.startswith(f"{prefix}-") for part in re.split("[/:]", name))


def _says_not_found(error: ClientError) -> bool:
    answer = error.response["Error"]
    # The message of a denial may contain any name.
    if DENIED.search(answer["Code"]):
        return False
    return bool(NOTHING.search(f"{answer['Code']} {answer.get('Message', '')}"))


def _as_tags(answer: dict[str, Any]) -> Tags:
    """Tags, from any of the shapes in which AWS's services return them."""
    listed: Any = next(
        (answer[name] for name in ("Tags", "tags", "TagSet", "ResourceTags") if name in answer), {}
    )
    if isinstance(listed, dict):
        return listed
    pairs = (("Key", "Value"), ("key", "value"), ("TagKey", "TagValue"))
    return {tag[key]: tag[value] for tag in listed for key, value in pairs if key in tag}
