"""IAM enforcement: checks every call of a role or a service against the policies that apply to it.

Functions sign with the credentials of their role's session; state machines, rules, endpoints and training jobs act by
theirs inside this process. Requests with any other credentials (a developer's, Terraform's) are not restricted.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from scripts.local_aws.core import moto_backends
from scripts.local_aws.core.errors import ServiceError
from scripts.local_aws.core.protocol import Answer, Request, json_answer
from scripts.local_aws.iam.policy_evaluation import (
    Call,
    Context,
    Decision,
    Document,
    Policies,
    UnknownPolicy,
    decide,
)
from scripts.local_aws.iam.required_permissions import PERMISSIONS, Permission

PATH = "/_local/permissions"
WRITES = ("BatchWriteItem", "DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem")
# https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html: no permission is required.
FREE = ("sts:GetCallerIdentity",)
KEPT_RECORDS = 10_000
SCOPES = {"monitoring": "cloudwatch"}
# How services refuse: code and HTTP status. For another service's key SNS has a code of its own.
REFUSALS = {
    "cloudwatch": ("AccessDenied", 403),
    "lambda": ("AccessDeniedException", 403),
    "s3": ("AccessDenied", 403),
    "sagemaker": ("AccessDeniedException", 403),
    "sns": ("AuthorizationError", 403),
    "sqs": ("AccessDenied", 403),
}
REFUSAL = ("AccessDeniedException", 400)
KEY_REFUSALS = {"sns": ("KMSAccessDenied", 400)}

# One machine has no TLS; its requests count as if they had used it.
TLS = ("aws:securetransport", ("true",))

Facts = dict[str, Any]
# A row of the table, one of its actions, and the facts it needs.
Row = tuple[Permission, str, set[str]]


class Caller(NamedTuple):
    """A role that a service assumed or, without a role, the service itself.

    `source` is the ARN of what made it call (https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html),
    `session` the session's name where that is not the source's.
    """

    service: str
    role: str = ""
    source: str = ""
    session: str = ""

    @property
    def name(self) -> str:
        """The session as AWS names it in a refusal."""
        if not self.role:
            return self.service
        session = self.session or _last(self.source)
        return f"arn:aws:sts::{moto_backends.ACCOUNT}:assumed-role/{_last(self.role)}/{session}"


class Authorization:
    """Decides on calls and remembers the first of each kind, for `GET /_local/permissions`."""

    def __init__(self) -> None:
        self._callers: dict[str, Caller] = {}
        self._lock = threading.Lock()
        self._records: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._rows: dict[str, list[Row]] = {}

    def check(self, caller: Caller, request: str, **parameters: Any) -> None:
        """Authorize a request such as `s3:GetObject` with the API's parameters, and the calls that it implies.

        Raises ServiceError as the service refuses it.
        """
        for call in self._calls(caller, request, parameters):
            decision = self._decide(call)
            if not decision.allowed:
                raise _refusal(caller, request, call, decision)

    def allows(self, caller: Caller, request: str, **parameters: Any) -> bool:
        """`check` for what fails silently on AWS, such as a function's logs."""
        try:
            self.check(caller, request, **parameters)
        except ServiceError:
            return False
        return True

    def assumes(self, caller: Caller) -> bool:
        """Whether the role lets the service assume it."""
        return self._decide(_assumption(caller)).allowed

    def credentials(self, caller: Caller) -> dict[str, str]:
        """Environment variables of a new session of the caller's role."""
        session = moto_backends.sessions().assume_role(
            region_name=moto_backends.REGION,
            role_session_name=caller.name.rpartition("/")[2],
            role_arn=caller.role,
            policy="",
            duration=3600,
            external_id="",
        )
        with self._lock:
            self._callers[session.access_key_id] = caller
        return {
            "AWS_ACCESS_KEY_ID": session.access_key_id,
            "AWS_SECRET_ACCESS_KEY": session.secret_access_key,
            "AWS_SESSION_TOKEN": session.session_token,
        }

    def may_log(self, caller: Caller, request: str, group: str, stream: str) -> bool:
        """Whether a role may write a log stream; a group with a key takes its key for CloudWatch Logs itself."""
        arn = moto_backends.arn("logs", f"log-group:{group}")
        if not self.allows(caller, request, stream=f"{arn}:log-stream:{stream}"):
            return False
        key = getattr(moto_backends.logs().groups.get(group), "kms_key_id", None)
        service = Caller(f"logs.{moto_backends.REGION}.amazonaws.com")
        context = (("kms:encryptioncontext:aws:logs:arn", (arn,)),)
        return self.allows(service, "logs:Encrypt", key=key, context=context)

    def check_request(self, request: Request) -> None:
        """Authorize a request over HTTP for the session that signed it. Raises ServiceError."""
        caller = self._caller(request.access_key)
        if caller is None:
            return
        name, parameters = _named(request)
        if name not in FREE:
            self.check(caller, name, **parameters)

    def answer(self) -> Answer:
        """Every kind of decision so far, and every policy."""
        with self._lock:
            return json_answer({"decisions": list(self._records.values()), "policies": list(_all_policies())})

    def _caller(self, access_key: str) -> Caller | None:
        """Whose session a key belongs to, by this module or by AssumeRole; None for keys of other kinds."""
        if access_key not in self._callers and access_key.startswith("ASIA"):
            session = moto_backends.sessions().get_assumed_role_from_access_key(access_key)
            if session is None:
                raise ServiceError(
                    "ExpiredToken", "The security token included in the request is not known", 403
                )
            self._callers[access_key] = Caller("", session.role_arn, session=session.session_name)
        return self._callers.get(access_key)

    def _calls(self, caller: Caller, request: str, parameters: dict[str, Any]) -> Iterator[Call]:
        if caller.role and caller.service:
            yield _assumption(caller)
        principal = caller.role or caller.service
        facts = _facts(request, parameters)
        context = (TLS, ("aws:principalarn", (caller.role,))) if caller.role else _of_service(caller)
        context += facts.get("context", ())
        rows = self._rows_of(request)
        holding = [row for row in rows if facts.keys() >= row[2]]
        if not holding and any(row.resource != "{key}" for row, _, _ in rows):
            raise _unknown(request)
        for row, action, _ in holding:
            resource = row.resource.format_map(facts)
            more = tuple(_key_context(resource, action, row.via)) if action.startswith("kms:") else ()
            yield Call(principal, action, resource, context + more)

    def _rows_of(self, request: str) -> list[Row]:
        if request not in self._rows:
            service = request.partition(":")[0]
            rows = [row for row in PERMISSIONS if row.request == request]
            rows = rows or [row for row in PERMISSIONS if row.request == f"{service}:*"]
            if not rows:
                raise _unknown(request)
            self._rows[request] = [
                (row, request if action == "same" else action, row.facts)
                for row in rows
                for action in row.actions.split()
            ]
        return self._rows[request]

    def _decide(self, call: Call) -> Decision:
        try:
            policies = _policies(call)
            decision = decide(call, policies)
        except UnknownPolicy as error:
            raise ServiceError("MalformedPolicyDocument", str(error)) from error
        # What nothing allowed is reported for each resource: one refusal must not hide another.
        kind = (call.principal, call.action, decision.by or call.resource)
        if kind not in self._records and len(self._records) < KEPT_RECORDS:
            with self._lock:
                self._records[kind] = {
                    "call": {**call._asdict(), "context": dict(call.context)},
                    "allowed": decision.allowed,
                    "by": decision.by,
                    "reason": decision.reason,
                    "policies": policies._asdict(),
                }
        return decision


def _of_service(caller: Caller) -> Context:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
    source = (("aws:sourcearn", (caller.source,)), ("aws:sourceaccount", (moto_backends.ACCOUNT,)))
    return (TLS, *source) if caller.source else (TLS,)


def _assumption(caller: Caller) -> Call:
    return Call(caller.service, "sts:AssumeRole", caller.role, _of_service(caller))


def _unknown(request: str) -> ServiceError:
    """Better no answer than one that nothing has authorized."""
    text = f"required_permissions.py does not say what {request} needs, or what it is about"
    return ServiceError("UnknownOperationException", text)


def _refusal(caller: Caller, request: str, call: Call, decision: Decision) -> ServiceError:
    service = request.partition(":")[0]
    about_key = call.action.startswith("kms:")
    code, status = (KEY_REFUSALS if about_key else {}).get(service) or REFUSALS.get(service, REFUSAL)
    if call.action == "sts:AssumeRole":
        text = f"{caller.service} is not authorized to assume the role {caller.role}"
    else:
        text = f"User: {caller.name} is not authorized to perform: {call.action} on resource: {call.resource}"
    return ServiceError(code, f"{text} {decision.reason}", status)


# The policies that apply to a call


def _policies(call: Call) -> Policies:
    identity: tuple[Document, ...] = ()
    boundary = None
    if call.principal.startswith("arn:"):
        role = _role(call.principal)
        if role is not None:
            identity = tuple(_identity(role))
            if role.permissions_boundary_arn:
                known = moto_backends.iam().managed_policies[role.permissions_boundary_arn]
                boundary = Document(role.permissions_boundary_arn, _managed_text(known))
    return Policies(identity, boundary, _resource_policy(call.resource))


def _role(arn: str) -> Any:
    known = moto_backends.iam().roles
    number = _numbers.get(arn)
    if number not in known:
        number = next((role.id for role in list(known.values()) if role.arn == arn), None)
        _numbers[arn] = number
    return known.get(number)


# Cached: there are few roles, and each is asked for all the time.
_numbers: dict[str, str | None] = {}


def _identity(role: Any) -> list[Document]:
    texts = [*role.policies.values(), *map(_managed_text, role.managed_policies.values())]
    return [Document(role.arn, text) for text in texts]


def _managed_text(policy: Any) -> str:
    return str(next(version.document for version in policy.versions if version.is_default))


def _resource_policy(arn: str) -> Document | None:
    service = arn.split(":")[2] if arn.startswith("arn:") else ""
    if service not in RESOURCE_POLICIES:
        return None
    owner, text = RESOURCE_POLICIES[service](arn)
    return Document(owner, text) if text else None


def _trust(arn: str) -> tuple[str, str]:
    role = _role(arn)
    return arn, role.assume_role_policy_document if role else ""


def _bucket_policy(arn: str) -> tuple[str, str]:
    owner = arn.partition("/")[0]
    bucket = moto_backends.s3().buckets.get(owner.rpartition(":")[2])
    return owner, bucket.policy.decode() if bucket and bucket.policy else ""


def _queue_policy(arn: str) -> tuple[str, str]:
    queue = moto_backends.queues().get(_last(arn))
    return arn, queue.policy or "" if queue else ""


def _topic_policy(arn: str) -> tuple[str, str]:
    topic = moto_backends.sns().topics.get(arn)
    return arn, topic.policy if topic else ""


def _key_policy(arn: str) -> tuple[str, str]:
    key = moto_backends.keys().keys.get(_last(arn))
    return arn, key.policy if key else ""


def _function_policy(arn: str) -> tuple[str, str]:
    """moto keeps an alias' statements with the version that it meant when they were made."""
    owner = ":".join(arn.split(":")[:7])
    known = moto_backends.functions()._lambdas._functions.get(_last(owner), {"latest": None, "versions": []})
    versions = {id(each): each for each in (known["latest"], *known["versions"]) if each}.values()
    statements = [statement for version in versions for statement in version.policy.statements]
    return owner, json.dumps({"Statement": statements}) if statements else ""


RESOURCE_POLICIES: dict[str, Callable[[str], tuple[str, str]]] = {
    "iam": _trust,
    "kms": _key_policy,
    "lambda": _function_policy,
    "s3": _bucket_policy,
    "sns": _topic_policy,
    "sqs": _queue_policy,
}


def _all_policies() -> Iterator[Document]:
    """Every policy of the account, the roles' own and those of resources."""
    owners = []
    for role in list(moto_backends.iam().roles.values()):
        owners.append(role.arn)
        yield from _identity(role)
    owners += [bucket.arn for bucket in list(moto_backends.s3().buckets.values())]
    owners += [queue.queue_arn for queue in list(moto_backends.queues().values())]
    owners += [key.arn for key in list(moto_backends.keys().keys.values())]
    owners += [
        moto_backends.arn("lambda", f"function:{name}")
        for name in list(moto_backends.functions()._lambdas._functions)
    ]
    yield from filter(None, map(_resource_policy, [*owners, *list(moto_backends.sns().topics)]))


# What a request is about


# What services pass on that need more than a request's own parameters.
KNOWN_FACTS = frozenset(
    {"context", "execution", "group", "key", "machine", "own_group", "repository", "stream"}
)


def _facts(request: str, parameters: dict[str, Any]) -> Facts:
    """What the rows of the table are filled with, unless the parameters are just that."""
    service, _, operation = request.partition(":")
    about = "s3" if "Bucket" in parameters else service
    handed_over = KNOWN_FACTS.issuperset(parameters)
    facts = dict(parameters) if handed_over else FACTS.get(about, _no_facts)(operation, parameters)
    facts = {name: value for name, value in facts.items() if value}
    if "key" in facts and (key := _key_arn(facts.pop("key"))) is not None:
        facts["key"] = key
    return facts


def _no_facts(_operation: str, _parameters: dict[str, Any]) -> Facts:
    return {}


def _object_facts(operation: str, parameters: dict[str, Any]) -> Facts:
    name, key = parameters["Bucket"], parameters.get("Key")
    bucket = moto_backends.s3().buckets.get(name)
    arn = f"arn:aws:s3:::{name}"
    facts: Facts = {"bucket": arn, "object": f"{arn}/{key}"}
    if operation == "ListObjects":
        facts["context"] = (("s3:prefix", (parameters.get("Prefix", ""),)),)
    elif operation.startswith(("Get", "Head")):
        found = _object(bucket, key, parameters.get("VersionId"))
        facts["missing"] = found is None
        if found is None:  # a listing of this very key is asked for: https://github.com/ceph/ceph/pull/68577
            facts["context"] = (("s3:prefix", (str(key),)),)
        facts["key"] = getattr(found, "kms_key_id", None)
    elif bucket is not None and bucket.encryption:
        facts["key"] = bucket.encryption["Rule"]["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID")
    return facts


def _object(bucket: Any, key: str | None, version: str | None) -> Any:
    if bucket is None:
        return None
    versions = bucket.keys.getlist(key, default=[])
    if version:
        return next((each for each in versions if str(each.version_id) == version), None)
    return versions[-1] if versions and hasattr(versions[-1], "value") else None


def _table_facts(operation: str, parameters: dict[str, Any]) -> Facts:
    name = _last(parameters["TableName"])
    table = moto_backends.tables().tables.get(name)
    index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
    return {
        "table": moto_backends.arn("dynamodb", f"table/{name}{index}"),
        "key": ((table.sse_specification or {}) if table else {}).get("KMSMasterKeyId"),
        "writes": operation in WRITES,
    }


def _topic_facts(_operation: str, parameters: dict[str, Any]) -> Facts:
    arn = parameters.get("TopicArn") or parameters.get("TargetArn") or "*"
    topic = moto_backends.sns().topics.get(arn)
    return {"topic": arn, "key": topic.kms_master_key_id if topic else None}


def _queue_facts(_operation: str, parameters: dict[str, Any]) -> Facts:
    name = _last(parameters["QueueUrl"])
    queue = moto_backends.queues().get(name)
    return {"queue": moto_backends.arn("sqs", name), "key": getattr(queue, "kms_master_key_id", None)}


def _function_facts(_operation: str, parameters: dict[str, Any]) -> Facts:
    name, qualifier = parameters["FunctionName"], parameters.get("Qualifier")
    arn = name if name.startswith("arn:") else moto_backends.arn("lambda", f"function:{name}")
    return {"function": f"{arn}:{qualifier}" if qualifier else arn}


def _execution_facts(_operation: str, parameters: dict[str, Any]) -> Facts:
    given = {name[0].upper() + name[1:]: value for name, value in parameters.items()}
    return {
        "machine": given.get("StateMachineArn"),
        "execution": given.get("ExecutionArn") or given.get("MapRunArn"),
    }


def _endpoint_facts(_operation: str, parameters: dict[str, Any]) -> Facts:
    return {"endpoint": moto_backends.arn("sagemaker", f"endpoint/{parameters['EndpointName'].lower()}")}


FACTS: dict[str, Callable[[str, dict[str, Any]], Facts]] = {
    "dynamodb": _table_facts,
    "lambda": _function_facts,
    "s3": _object_facts,
    "sagemaker": _endpoint_facts,
    "sns": _topic_facts,
    "sqs": _queue_facts,
    "states": _execution_facts,
}


def _key_arn(reference: str | None) -> str | None:
    """The customer-managed key that an id, ARN or alias means; AWS's own keys let every caller in."""
    if not reference:
        return None
    name = _last(reference.replace(":alias/", "/alias/"))
    for key in list(moto_backends.keys().keys.values()):
        if key.id == name or f"alias/{name}" in key.aliases:
            return None if any(alias.startswith("alias/aws/") for alias in key.aliases) else str(key.arn)
    return None


def _key_context(arn: str, action: str, via: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html"""
    yield "kms:resourcealiases", tuple(moto_backends.keys().keys[_last(arn)].aliases)
    if via:
        yield "kms:viaservice", (f"{via}.{moto_backends.REGION}.amazonaws.com",)
    if action == "kms:CreateGrant":
        yield "kms:grantisforawsresource", ("true",)


def _last(name: str) -> str:
    return name.replace("/", ":").rpartition(":")[2]


# What a request over HTTP asks for


def _named(request: Request) -> tuple[str, dict[str, Any]]:
    """The request's name and parameters, as `Authorization.check` takes them."""
    service = SCOPES.get(request.service, request.service)
    if service == "s3":
        return _named_object(request)
    if found := re.fullmatch("/endpoints/([^/]+)/invocations", request.path):
        return "sagemaker:InvokeEndpoint", {"EndpointName": found[1]}
    if found := re.match("/2015-03-31/functions/(.+)/invocations/?$", request.path):
        return "lambda:Invoke", {"FunctionName": found[1], "Qualifier": request.query.get("Qualifier")}
    body = request.body()
    request.environ["wsgi.input"] = io.BytesIO(body)  # it can be read once
    if found := re.search("/operation/([A-Za-z]+)$", request.path):  # Smithy's RPC protocol
        return f"{service}:{found[1]}", {}
    if request.action:
        with suppress(ValueError):
            return f"{service}:{request.action}", json.loads(body or b"{}")
    form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
    return f"{service}:{form.get('Action', request.action)}", form


def _named_object(request: Request) -> tuple[str, dict[str, Any]]:
    bucket, _, key = request.path.lstrip("/").partition("/")
    asked = set(parse_qs(request.environ.get("QUERY_STRING", ""), keep_blank_values=True))
    about = {"Bucket": bucket, "Key": key}
    if not key:
        plain = request.method == "GET" and not asked - LISTING
        return "s3:ListObjects" if plain else f"s3:{request.method} bucket", about | {
            "Prefix": request.query.get("prefix", "")
        }
    if asked & {"uploadId", "uploads"}:
        return "s3:UploadInParts", about
    operation = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
    if asked - {"versionId", "x-id", "partNumber"} or request.method not in operation:
        return f"s3:{request.method} object", about
    version = request.query.get("versionId")
    return f"s3:{operation[request.method]}{'Version' if version else ''}", about | {"VersionId": version}


LISTING = {
    "list-type",
    "prefix",
    "delimiter",
    "max-keys",
    "encoding-type",
    "continuation-token",
    "start-after",
    "marker",
    "fetch-owner",
}
