"""Child processes that end with the one-machine AWS, also when it is killed without a chance to clean up."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

# A killed parent cannot stop its children, but the kernel closes its end of their standard input.
GUARD = """
import os, signal, subprocess, sys, threading
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
def follow_parent():
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=follow_parent, daemon=True).start()
signal.signal(signal.SIGTERM, lambda number, frame: child.terminate())
code = child.wait()
os._exit(code if code >= 0 else 128 - code)
"""


def start(
    command: Sequence[str],
    environment: Mapping[str, str],
    directory: Path,
    output: IO[Any] | int = subprocess.PIPE,
    watches_input: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own; its output and errors go to `output`.

    Args:
        watches_input: the program itself ends when its standard input does; any other gets a guard that kills it.
    """
    guarded = list(command) if watches_input else [sys.executable, "-I", "-S", "-c", GUARD, *command]
    return subprocess.Popen(
        guarded,
        env=dict(environment),
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        bufsize=0,
    )


def stop(process: subprocess.Popen[bytes], grace: float = 0) -> None:
    """End the process and its descendants: SIGTERM, after `grace` seconds SIGKILL; without grace at once."""
    if grace and process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()
