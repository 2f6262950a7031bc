"""The stack on one machine: starts the one-machine AWS and applies the same Terraform to it."""

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from scripts.common import paths
from scripts.common.errors import UserError
from scripts.common.paths import SHIPPED_MODEL
from scripts.common.progress import Progress, silent
from scripts.deployment import outputs, packages, serving_image, terraform
from scripts.deployment.environments import LOCAL
from scripts.deployment.outputs import Deployment, NotDeployed
from scripts.models import registry
from scripts.models.archive import ModelArchive
from scripts.models.registry import Destination

STATE_BUCKET = "scones-local-state"
SERVING_REPOSITORY = "scones-local-serving"
SERVING_COMMAND = f"{shlex.quote(sys.executable)} -m training_scripts.serve"
# The last part of Terraform's default for training_image_uri.
TRAINING_REPOSITORY = "pytorch"
START_SECONDS = 30
STOP_SECONDS = 20
ANSWER_SECONDS = 5
# A process that ends leaves the process list a moment before its last thread does.
LOCK_SECONDS = 1


class StackGone(NotDeployed):
    """The one-machine AWS was started here, but has gone since, in a crash or a reboot."""


class StackFailed(UserError):
    """The one-machine AWS did not start or stop; the message holds its last words."""


class StackSilent(StackFailed):
    """The one-machine AWS runs but does not answer: it may be busy, so its data is kept."""


class StackBusy(StackFailed):
    """Another command is starting or stopping the one-machine AWS right now."""


@dataclass(frozen=True)
class LocalStack:
    """One running stack: its folder holds the server's state, its log and Terraform's data."""

    folder: Path

    @property
    def server(self) -> dict[str, Any]:
        try:
            return json.loads((self.folder / "local_aws.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise NotDeployed("The one-machine AWS does not run: start it with `scones up`.") from None

    @property
    def endpoint_url(self) -> str:
        """Its address. Raises NotDeployed."""
        url = self.server["endpoint_url"]
        if self._process() is None:
            raise StackGone("The stack does not answer any more: `scones down`, then `scones up`.")
        return url

    @property
    def variables(self) -> dict[str, str]:
        """What makes Terraform, the AWS CLI and boto3 find this stack. Raises NotDeployed."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_SESSION_TOKEN": "",
            "AWS_PROFILE": "",
            "AWS_REGION": self.server["region"],
            "AWS_DEFAULT_REGION": self.server["region"],
            "TF_DATA_DIR": str(self.folder / "terraform"),
        }

    def deployment(self) -> Deployment:
        """What was applied here. Raises NotDeployed."""
        path, variables = self.folder / "outputs.json", self.variables
        if not path.exists():
            raise NotDeployed(
                "The one-machine AWS runs, but nothing is applied to it: wait for `scones up` to end, or if none is "
                "under way: `scones down`, then `scones up`."
            )
        return outputs.from_file(path, variables)

    def is_running(self) -> bool:
        """Whether it answers; after a crash or a reboot another program may have its port."""
        try:
            url = f"{self.server['endpoint_url']}/_local/health"
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
                return json.load(answer)["pid"] == self.server["pid"]
        except (NotDeployed, OSError, HTTPException, ValueError, LookupError, TypeError):
            return False

    def outbox(self) -> list[dict[str, Any]]:
        """Every message a subscriber has received, oldest first."""
        with urllib.request.urlopen(f"{self.endpoint_url}/_local/outbox", timeout=10) as answer:
            return json.load(answer)

    def fire(self, schedule: str) -> None:
        """Fires a schedule now, by the last part of its rule's name, such as "digest"."""
        url = f"{self.endpoint_url}/_local/schedules/{self.deployment().prefix}-{schedule}"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10):
            pass

    def inject(self, fault: dict[str, Any], **rule: Any) -> None:
        """Makes requests fail until `heal` (scripts/local_aws/README.md, "Faults on purpose")."""
        self._administer_faults("POST", json.dumps({**rule, "fault": fault}).encode())

    def alarm_state(self, name: str, seconds_later: float = 0) -> str:
        """The state of an alarm, evaluated as if it were later; a change is announced as usual."""
        wanted = json.dumps({"name": name, "ahead": seconds_later}).encode()
        url = f"{self.endpoint_url}/_local/alarms"
        with urllib.request.urlopen(urllib.request.Request(url, wanted), timeout=10) as answer:
            return json.load(answer)[name]

    def heal(self) -> None:
        """Ends every fault; requests that hung go on."""
        self._administer_faults("DELETE")

    def _administer_faults(self, method: str, body: bytes | None = None) -> None:
        url = f"{self.endpoint_url}/_local/faults"
        with urllib.request.urlopen(urllib.request.Request(url, body, method=method), timeout=10):
            pass

    def start_server(self, wait_scale: float) -> None:
        """Starts the one-machine AWS in the background, in a fresh folder. Raises StackFailed."""
        with self._lock() as lock:
            self._check_free()
            self._check_ours()
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            log = self.folder / "local_aws.log"
            command = [sys.executable, "-m", "scripts.local_aws", "--port", "0"]
            command += ["--state-dir", str(self.folder), "--wait-scale", str(wait_scale)]
            command += ["--image", f"{SERVING_REPOSITORY}={SERVING_COMMAND}"]
            command += ["--image", f"{TRAINING_REPOSITORY}={shlex.quote(training_python())}"]
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    cwd=paths.ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    pass_fds=[lock],
                )
            try:
                self._wait_for(process, log)
            except BaseException:
                process.kill()
                raise

    @contextlib.contextmanager
    def _lock(self) -> Iterator[int]:
        """Keeps others from starting a server here; the server inherits the lock and keeps it.

        Raises StackFailed: somebody else holds it.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + LOCK_SECONDS
        with self.folder.with_name(f"{self.folder.name}.lock").open("wb") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    self._check_free()
                    if time.monotonic() > deadline:
                        raise StackBusy(
                            f"The stack in {self.folder} is being started or stopped by another command, so nothing"
                            " was changed: wait for that one's end and try again."
                        ) from None
                    time.sleep(0.05)
            yield lock.fileno()

    def _check_free(self) -> None:
        """Raises StackFailed if the server runs, whether it answers or not."""
        pid = self._process()
        if pid is None:
            return
        way_out = "`scones down`" if self == default_stack() else f"`kill {pid}`"
        if self.is_running():
            url = self.server["endpoint_url"]
            raise StackFailed(
                f"A stack already runs at {url} (process {pid}): use it once the command that started it has ended,"
                f" or end it with {way_out}."
            )
        raise StackSilent(
            f"The one-machine AWS (process {pid}) runs but has not answered within {ANSWER_SECONDS} s, so nothing was"
            f" started or removed. It may be busy or suspended: wait and try again, or end it with {way_out}."
        )

    def _check_ours(self) -> None:
        """Raises StackFailed if the folder to be emptied holds anything but an earlier stack."""
        held = {path.name for path in self.folder.glob("*")}
        if held and not held & {"local_aws.json", "local_aws.log"}:
            raise StackFailed(
                f"{self.folder} is not a stack's folder, and a new stack would empty it: name another one by "
                "SCONES_STACK_DIR."
            )

    def _wait_for(self, process: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.is_running():
            if process.poll() is not None or time.monotonic() > deadline:
                last_words = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise StackFailed(
                    f"The one-machine AWS did not start; its log ({log}) ends with:\n{last_words}"
                )
            time.sleep(0.05)

    def stop_server(self) -> bool:
        """Stops the server and all its children; False if it did not run. Raises StackFailed."""
        pid = self._process()
        if pid is None:
            with self._lock():
                (self.folder / "local_aws.json").unlink(missing_ok=True)
            return False
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)  # a suspended process gets no other signal
        deadline = time.monotonic() + STOP_SECONDS
        while _is_alive(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                raise StackFailed(
                    f"The one-machine AWS (process {pid}) did not end by itself and was killed."
                )
            time.sleep(0.05)
        return True

    def _process(self) -> int | None:
        """The server's process, even if silent; after a crash another one may have its id."""
        try:
            pid: int = self.server["pid"]
        except NotDeployed:
            return None
        is_ours = f"--state-dir {self.folder} " in _listed(pid)[1] or self.is_running()
        return pid if is_ours else None

    def terraform(
        self, *arguments: str, on_line: Callable[[str], None] | None = None, accept: tuple[int, ...] = (0,)
    ) -> tuple[int, str]:
        """Runs Terraform's root module against this stack; returns (exit code, output)."""
        return terraform.run(*arguments, extra_environment=self.variables, on_line=on_line, accept=accept)

    def var_files(self) -> list[str]:
        """The -var-file options: the environment's own, and the published model's, if any."""
        files = [paths.TERRAFORM / "environments" / f"{LOCAL}.tfvars"]
        if self.model_file.exists():
            files.append(self.model_file)
        return [f"-var-file={path}" for path in files]

    @property
    def model_file(self) -> Path:
        return self.folder / f"{LOCAL}.model.tfvars.json"

    def init(self) -> None:
        """Creates the bucket for Terraform's state here, and initialises Terraform with it."""
        variables = self.variables
        outputs.client("s3", variables["AWS_REGION"], variables).create_bucket(Bucket=STATE_BUCKET)
        backend = paths.TERRAFORM / "environments" / f"{LOCAL}.s3.tfbackend"
        self.terraform("init", f"-backend-config={backend}", "-lockfile=readonly", "-no-color")

    def apply(self, progress: Progress = silent, plan: Path | None = None) -> Deployment:
        """Applies the root module, or exactly what was planned, and saves its outputs.

        Raises NotDeployed, StackFailed, TerraformFailed.
        """
        counter = ActionCounter(progress)

        def see(line: str) -> None:
            if not (self.folder / "local_aws.json").exists():
                progress("Ending Terraform, because the one-machine AWS was stopped", None)
                raise StackFailed("The one-machine AWS was stopped meanwhile, so nothing more was applied.")
            counter.see(line)

        what = [str(plan)] if plan else self.var_files()
        options = ["-auto-approve", "-no-color", "-parallelism=40"]
        self.terraform("apply", *options, *what, on_line=see)
        applied = Deployment(outputs.read_outputs(self.variables), self.variables)
        outputs.save(applied, self.folder / "outputs.json")
        return applied

    def forget_deployment(self) -> None:
        """Forgets, after a destroy, what was deployed here and which model was published."""
        for path in (self.folder / "outputs.json", self.model_file):
            path.unlink(missing_ok=True)

    @property
    def image_uri(self) -> str:
        """The serving program of this checkout, as the image that Terraform names."""
        return f"{self.deployment().image_repository_url}@{serving_digest()}"

    def publish(self, model: Path) -> None:
        """Puts a model archive into the deployment's bucket and names it to Terraform."""
        deployed = self.deployment()
        to = Destination(deployed.bucket, self.model_file, deployed.client("s3"))
        registry.write_model(self.model_file, registry.publish(ModelArchive.open(model), self.image_uri, to))

    def bring_up(
        self, progress: Progress, wait_scale: float = 1.0, model: Path = SHIPPED_MODEL
    ) -> Deployment:
        """Packages, starts, applies, publishes a model and applies again, as on AWS."""
        _package(progress)
        progress("Starting the one-machine AWS", None)
        self.start_server(wait_scale)
        try:
            progress("Preparing Terraform", None)
            self.init()
            self.apply(lambda text, share: progress(f"Applying Terraform: {text}", share))
            progress("Publishing the model", None)
            self.publish(model)
            return self.apply(lambda text, share: progress(f"Deploying the model: {text}", share))
        except BaseException:
            self.stop_server()
            raise

    def update(self, progress: Progress) -> Deployment:
        """Packages and applies again, so that all changes take effect. Raises NotDeployed."""
        self.deployment()
        _package(progress)
        return self.apply(lambda text, share: progress(f"Applying Terraform: {text}", share))


def default_stack() -> LocalStack:
    """The stack that `scones up` starts: in .scones/local, or where SCONES_STACK_DIR says."""
    return LocalStack(Path(os.environ.get("SCONES_STACK_DIR") or paths.WORK / "local").resolve())


def _package(progress: Progress) -> None:
    packages.build("local", lambda text: progress(f"Packaging the functions: {text}", None))


class ActionCounter:
    """Turns Terraform's output into a share of the planned actions that are done."""

    def __init__(self, progress: Progress):
        self.progress, self.planned, self.done = progress, 0, 0

    def see(self, line: str) -> None:
        if line.startswith("Plan:"):
            self.planned = sum(int(word) for word in line.split() if word.isdigit())
        if " complete after " in line and ": Read complete" not in line:
            self.done += 1
            self.progress(line.partition(":")[0], self.done / self.planned if self.planned else None)


def training_python() -> str:
    """The interpreter that trains on this machine: this one, or another that has PyTorch."""
    return os.environ.get("SCONES_TRAINING_PYTHON") or sys.executable


def serving_digest() -> str:
    """In place of the image's digest, as no image is built here; changes with its sources."""
    return f"sha256:{serving_image.digest()}"


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended stays listed (Z) until its parent asks."""
    return _listed(pid)[0][:1] not in ("", "X", "Z")


def _listed(pid: int) -> tuple[str, str]:
    """The state and the command line of a process; nothing for one that is not there."""
    if Path("/proc/self").exists():  # small container images come without ps
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].strip()
            return state, os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" "))
        return "", ""
    shown = ["ps", "-ww", "-o", "stat=", "-o", "args=", "-p", str(pid)]
    state, _, command = subprocess.run(shown, capture_output=True, text=True, check=False).stdout.partition(
        " "
    )
    return state, command
