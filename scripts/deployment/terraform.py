"""Runs Terraform on the root module, with the provider from the registry or from a mirror."""

import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from functions.common.shown import shown
from scripts.common.errors import UserError
from scripts.common.paths import TERRAFORM, WORK

MINIMUM = (1, 10)
PROVIDER = Path("registry.terraform.io/hashicorp/aws")
REGISTRY = "https://registry.terraform.io/.well-known/terraform.json"
REGISTRY_SECONDS = 5
MIRROR_PLACES = (
    "~/.terraform.d",
    "/opt",
    "/usr/local/share",
    "/usr/share",
    "/usr/local/lib",
    "/var/lib",
    "/srv",
)
MIRROR_DEPTH = 3
# Variables of a shell that make Terraform work elsewhere, or do something else than it is asked.
STEERING = re.compile(
    r"TF_(WORKSPACE|DATA_DIR|CLI_ARGS.*|VAR_.*)|AWS_(IGNORE_CONFIGURED_ENDPOINT_URLS|ENDPOINT_URL_.+|\w+_ENDPOINT)"
)
FIRST_ERROR = re.compile(r"^(?:│ )?Error: ", re.MULTILINE)


class TerraformMissing(UserError):
    """No usable Terraform on this machine; the message says what to install."""


class TerraformFailed(UserError):
    """Terraform ended with an error; the message is its own, without the plan that came before."""


class MirrorMissing(UserError):
    """Neither the provider registry nor a mirror of the AWS provider can be reached."""


@cache
def executable() -> str:
    """The path of a Terraform new enough for this project. Raises TerraformMissing."""
    needed = ".".join(map(str, MINIMUM))
    path = shutil.which("terraform")
    if path is None:
        raise TerraformMissing(
            f"Terraform is not installed: install version {needed} or newer "
            "(https://developer.hashicorp.com/terraform/install) and put it on PATH."
        )
    answer = subprocess.run([path, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"Terraform v(\d+)\.(\d+)", answer)
    if found is None or (int(found[1]), int(found[2])) < MINIMUM:
        version = found[0].removeprefix("Terraform v") if found else "unknown"
        raise TerraformMissing(f"Terraform {version} is too old: install version {needed} or newer.")
    return path


def registry_answers() -> bool:
    """True where `terraform init` can download providers."""
    try:
        with urllib.request.urlopen(REGISTRY, timeout=REGISTRY_SECONDS) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _folders(top: Path, depth: int) -> Iterator[Path]:
    yield top
    if depth == 0:
        return
    try:
        children = sorted(child for child in top.iterdir() if child.is_dir() and not child.is_symlink())
    except OSError:
        return
    for child in children:
        yield from _folders(child, depth - 1)


def find_mirror() -> Path | None:
    """A mirror of the AWS provider: SCONES_PROVIDER_MIRROR, or one in the usual places."""
    named = os.environ.get("SCONES_PROVIDER_MIRROR")
    if named:
        if (Path(named) / PROVIDER).is_dir():
            return Path(named)
        raise MirrorMissing(
            f"SCONES_PROVIDER_MIRROR is {shown(named)}, which holds no {PROVIDER}: "
            f"fill it with `terraform providers mirror {named}` where the registry is reachable."
        )
    for place in MIRROR_PLACES:
        for folder in _folders(Path(place).expanduser(), MIRROR_DEPTH):
            if (folder / PROVIDER).is_dir():
                return folder
    return None


@cache
def environment() -> dict[str, str]:
    """This process's environment, with TF_CLI_CONFIG_FILE pointing to a mirror if one is needed.

    A configuration file of the user's own always wins. Raises MirrorMissing.
    """
    variables = dict(os.environ, TF_IN_AUTOMATION="1", TF_INPUT="0", CHECKPOINT_DISABLE="1")
    own = os.environ.get("TF_CLI_CONFIG_FILE") or "~/.terraformrc"
    if Path(own).expanduser().is_file():
        return variables
    variables.pop("TF_CLI_CONFIG_FILE", None)
    if not os.environ.get("SCONES_PROVIDER_MIRROR") and registry_answers():
        return variables
    mirror = find_mirror()
    if mirror is None:
        raise MirrorMissing(
            "Neither registry.terraform.io nor a provider mirror can be reached: run `terraform providers mirror DIR` "
            "where the registry is reachable, copy DIR here and set SCONES_PROVIDER_MIRROR=DIR."
        )
    WORK.mkdir(exist_ok=True)
    configuration = WORK / "terraform.rc"
    configuration.write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n',
        encoding="utf-8",
    )
    return variables | {"TF_CLI_CONFIG_FILE": str(configuration)}


def run(
    *arguments: str,
    extra_environment: dict[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
    accept: tuple[int, ...] = (0,),
    module: Path = TERRAFORM,
    given: str = "",
) -> tuple[int, str]:
    """Runs `terraform ARGUMENTS` in the root module; returns (exit code, output).

    `on_line` gets each line as it comes. On an interruption, Terraform finishes what it is doing
    and writes its state. With an extra environment, this shell's other variables that steer
    Terraform are dropped. Raises TerraformFailed for an exit code outside `accept`.
    """
    process = subprocess.Popen(
        [executable(), f"-chdir={module}", *arguments],
        env=environment() if extra_environment is None else _steered_by(extra_environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        # A terminal's Ctrl-C would reach Terraform as well as the signal below, and two mean: stop
        # at once.
        start_new_session=True,
    )
    lines = []
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(given)
        process.stdin.close()
        for line in process.stdout:
            lines.append(line)
            if on_line:
                on_line(line.rstrip("\n"))
    except BaseException:
        process.terminate()
        for _ in process.stdout:
            pass
        process.wait()
        raise
    code = process.wait()
    output = "".join(lines)
    if code not in accept:
        raise TerraformFailed(f"terraform {arguments[0]} failed ({code}):\n{_errors(output)}")
    return code, output


def _steered_by(own: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environment().items() if not STEERING.fullmatch(name)}
    # TF_DATA_DIR can hold a chosen workspace, too.
    return kept | {"TF_WORKSPACE": "default"} | own


def _errors(output: str) -> str:
    found = FIRST_ERROR.search(output)
    return output[found.start() :][:4000] if found else output[-4000:]


def main() -> None:
    """Checks that this machine can run Terraform with the AWS provider; if not, says why."""
    try:
        executable()
        environment()
    except (TerraformMissing, MirrorMissing) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
