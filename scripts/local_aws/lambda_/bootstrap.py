"""Runs inside a function's process: the official runtime client with nothing else of this machine in reach.

The interpreter is started isolated and without site-packages (`-I -S`); the function sees its own package, the
layers' folder of runtime packages and the standard library, as on AWS.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html
"""

import os
import sys
import threading


def leave_with_the_server() -> None:
    """The server holds the other end of standard input, so this ends when the server does, for whatever reason."""
    while os.read(0, 1024):
        pass
    os._exit(0)


def main() -> None:
    threading.Thread(target=leave_with_the_server, daemon=True).start()
    sys.path[:0] = [os.environ["LAMBDA_TASK_ROOT"], os.environ["LAMBDA_RUNTIME_DIR"]]
    from awslambdaric import bootstrap  # noqa: PLC0415
    from awslambdaric.lambda_runtime_client import LambdaRuntimeClient  # noqa: PLC0415

    bootstrap.run(os.environ["_HANDLER"], LambdaRuntimeClient(os.environ["AWS_LAMBDA_RUNTIME_API"]))


if __name__ == "__main__":
    main()
