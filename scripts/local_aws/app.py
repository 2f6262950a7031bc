"""The one-machine AWS as one WSGI application: creates its parts and chooses which one answers a request.

moto's WSGI application is the control plane of most services. The parts in front of it do what moto lacks
or gets wrong (see README.md); the credential scope of the request's signature chooses the part.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from waitress.channel import ClientDisconnected

from scripts.local_aws.cloudwatch.alarms import PATH as ALARMS_PATH
from scripts.local_aws.cloudwatch.alarms import Alarms
from scripts.local_aws.cloudwatch.metrics import Metrics
from scripts.local_aws.core import moto_backends
from scripts.local_aws.core.background import Background
from scripts.local_aws.core.errors import AnswerLost, ServiceError
from scripts.local_aws.core.faults import PATH as FAULTS_PATH
from scripts.local_aws.core.faults import Faults, perform_cut
from scripts.local_aws.core.protocol import Answer, Request, error_answer, json_answer, send
from scripts.local_aws.events.schedules import PATH as SCHEDULES_PATH
from scripts.local_aws.events.schedules import Schedules
from scripts.local_aws.events.service import EventBridge
from scripts.local_aws.iam import authorization
from scripts.local_aws.iam.authorization import Authorization
from scripts.local_aws.lambda_.service import LambdaService
from scripts.local_aws.moto_patches import registry
from scripts.local_aws.sagemaker.endpoints import Hosting
from scripts.local_aws.sagemaker.service import SageMaker
from scripts.local_aws.sagemaker.training_jobs import Training
from scripts.local_aws.sns.outbox_page import page
from scripts.local_aws.sns.service import Notifications
from scripts.local_aws.stepfunctions.integrations import Integrations
from scripts.local_aws.stepfunctions.service import StepFunctions

logger = logging.getLogger(__name__)
# moto checks, then writes: without a lock two conditional writes could both win. SQS waits inside a call.
SERVICES_WITHOUT_LOCK = ("sqs",)


class LocalAws:
    """All services and the WSGI application in front of them.

    Args:
        state_dir: folder of unpacked functions, models, logs and the outbox.
        images: start command (list of words) per image repository name; of a training image, its interpreter.
        wait_scale: factor on AWS's retry delays and on the pauses of an endpoint's update.
    """

    def __init__(self, state_dir: Path, images: dict[str, list[str]], wait_scale: float) -> None:
        self.state_dir = state_dir
        self._moto = DomainDispatcherApplication(self._create_app)
        # moto lists its folder and tries hundreds of patterns to find each request's service.
        self._moto.get_backend_for_host = functools.lru_cache(1000)(self._moto.get_backend_for_host)  # type: ignore[method-assign]
        self._locks: dict[str, threading.RLock] = defaultdict(threading.RLock)
        self.background = Background(workers=16, wait_scale=wait_scale)
        self.faults = Faults()
        self.authorization = Authorization()
        self.metrics = Metrics()
        self.functions = LambdaService(
            state_dir, self.background, self.faults, self.authorization, self.metrics
        )
        self.hosting = Hosting(state_dir, images, self.faults, self.authorization, self.metrics)
        self.sagemaker = SageMaker(self.hosting, wait_scale)
        self.training = Training(state_dir, images, self.sagemaker.add_tags, self.authorization, wait_scale)
        self.notifications = Notifications(
            state_dir / "outbox.jsonl", self.background, self.functions, self.metrics
        )
        self.integrations = Integrations(self.moto, self.functions, self.faults, self.authorization)
        call_service = self.integrations.call_service
        self.functions.call_service = call_service
        self.events = EventBridge(self.background, self.functions, call_service)
        # Schedules are supported only on the default event bus.
        self.schedules = Schedules(
            lambda: list(moto_backends.events().event_buses["default"].rules.values()), self.events.hand_over
        )
        self.schedules.start()
        self.step_functions = StepFunctions(
            call_service,
            self._publish_execution,
            self.integrations.s3,
            self.authorization,
            wait_scale=wait_scale,
        )
        self.integrations.step_functions = self.step_functions
        self.alarms = Alarms(self.metrics, call_service, self.events.publish, self.hosting.sample_load)
        # With a `wait_scale` other than 1, alarms are evaluated only on request.
        if wait_scale == 1:
            self.alarms.evaluate_regularly()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        # moto takes S3 keys from the URI as it came; its routes know no line breaks.
        environ["RAW_URI"] = environ.get("REQUEST_URI", "")
        environ["PATH_INFO"] = environ["PATH_INFO"].replace("\n", "%0A").replace("\r", "%0D")
        try:
            answer = self._own_answer(request)
            if answer is None:
                return self.moto(environ, start_response)
        except AnswerLost as error:
            raise ClientDisconnected from error  # waitress then closes the connection
        except ServiceError as error:
            answer = error_answer(request, error)
        except NotImplementedError as error:
            # 500 would make Terraform's provider try again for ten minutes.
            answer = error_answer(request, ServiceError("UnknownOperationException", str(error)))
        except Exception as error:
            logger.exception(
                "%s %s %s failed", request.service, request.method, request.action or request.path
            )
            answer = error_answer(request, ServiceError("LocalAwsFault", f"{type(error).__name__}: {error}"))
        return send(answer, start_response)

    def moto(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Let moto answer, unless a fault is wanted."""
        with self.faults.during_request(Request(environ)) as fault:
            return perform_cut(fault, self._answer_by_moto, environ, start_response)

    def _answer_by_moto(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """One request per service at a time."""
        request = Request(environ)
        if request.service in SERVICES_WITHOUT_LOCK:
            return self._moto(environ, start_response)
        with self._locks[request.service]:
            answer = self._moto(environ, start_response)
        if request.service == "lambda" and request.method in ("PUT", "DELETE"):
            self.functions.sweep()
        return answer

    def _publish_execution(self, event: dict[str, Any]) -> None:
        self.metrics.count_execution(event)
        self.events.publish(event)

    def _create_app(self, service: str) -> Any:
        if service == "s3":
            self.events.install_object_events()
        elif service == "events":
            self.events.install_put_events()
        elif service == "sns":
            self.notifications.install()
        elif service == "cloudwatch":
            self.alarms.install()
            self.metrics.install()
        elif service == "awslambda":
            self.functions.install()
        return registry.create_app(service)

    def _own_answer(self, request: Request) -> Answer | None:
        if request.path.startswith("/_local/"):
            return self._local(request)
        self.authorization.check_request(request)
        if request.service == "states":
            with self.faults.during_request(request):
                return json_answer(self.step_functions.handle(request.action, request.json()))
        if request.service == "lambda":
            return self.functions.answer(request)
        if request.service == "sagemaker" and request.path.endswith("/invocations"):
            return self.hosting.answer(request)
        for part in (self.sagemaker, self.training) if request.service == "sagemaker" else ():
            if request.action in part.actions:
                return json_answer(part.handle(request.action, request.json()))
        return None

    def _local(self, request: Request) -> Answer:
        path = request.path
        if path.startswith(FAULTS_PATH):
            return self.faults.answer(request)
        if path == ALARMS_PATH:
            return self.alarms.answer(request)
        if path.startswith(SCHEDULES_PATH):
            return self.schedules.answer(request)
        if path == authorization.PATH:
            return self.authorization.answer()
        if path == "/_local/health":
            return json_answer({"status": "ok", "pid": os.getpid(), "pending": self.background.pending()})
        if path == "/_local/outbox":
            deliveries = self.notifications.outbox()
            return page(deliveries) if "text/html" in request.header("Accept") else json_answer(deliveries)
        raise ServiceError("ResourceNotFoundException", f"There is no {path}", 404)

    def stop(self) -> None:
        """Stop every child process."""
        self.faults.end()
        self.schedules.stop()
        self.background.stop()
        self.alarms.stop()
        self.step_functions.close()
        self.functions.stop()
        self.training.stop()
        self.hosting.stop()
