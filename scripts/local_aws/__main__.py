"""`python -m scripts.local_aws`: start the one-machine AWS."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import signal
from pathlib import Path


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.local_aws", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument(
        "--state-dir", type=Path, required=True, help="for local_aws.json, functions, models, outbox"
    )
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="REPOSITORY=COMMAND",
        help="how to start what an image repository holds: a serving program, or the Python of a training image",
    )
    parser.add_argument(
        "--wait-scale", type=float, default=1.0, help="factor on the delays of retries and waits"
    )
    parser.add_argument("--log", type=Path, help="log file; standard error if not given")
    arguments = parser.parse_args()
    for image in arguments.image:
        if "=" not in image:
            parser.error(f"--image {image!r} has no '='; write REPOSITORY=COMMAND")
    return arguments


def main() -> None:
    arguments = _arguments()
    state_dir = arguments.state_dir.resolve()
    state_dir.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=arguments.log, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Short queues are normal here: a few dozen requests at a time come from Terraform alone.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ.setdefault(name, "local")
    # The server's own clients and children talk to it alone.
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "MOTO_ACCOUNT_ID"):
        os.environ.pop(name, None)

    # After the arguments: a wrong one is reported at once.
    from scripts.local_aws.app import LocalAws  # noqa: PLC0415
    from scripts.local_aws.server import serve, write_ready_file  # noqa: PLC0415

    images = {
        name: shlex.split(command) for name, _, command in (each.partition("=") for each in arguments.image)
    }
    application = LocalAws(state_dir, images, arguments.wait_scale)
    ready_file = state_dir / "local_aws.json"

    def on_ready(endpoint_url: str) -> None:
        write_ready_file(ready_file, endpoint_url)
        print(f"The one-machine AWS answers at {endpoint_url}", flush=True)

    def leave(*_: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    try:
        serve(application, arguments.port, on_ready)
    finally:
        ready_file.unlink(missing_ok=True)
        application.stop()


if __name__ == "__main__":
    main()
