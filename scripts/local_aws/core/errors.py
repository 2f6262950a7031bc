"""Errors of the one-machine AWS's interfaces."""


class ServiceError(Exception):
    """An error answer of an AWS interface.

    Args:
        code: the error's name as AWS spells it, e.g. `ResourceNotFoundException`.
        message: what went wrong, for people.
        status: the HTTP status code of the answer.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class AnswerLost(ServiceError):
    """No answer arrives: over HTTP the connection is closed; integrations of Step Functions name it so."""

    def __init__(self) -> None:
        super().__init__(
            "SdkClientException", "Unable to execute HTTP request: the connection was closed", 500
        )


class StatesError(Exception):
    """The failure of a task or a state of an execution.

    Args:
        error: the error name that Retry and Catch match, e.g. `Lambda.TooManyRequestsException`.
        cause: the explanation; a function's error payload as JSON text, for instance.
    """

    def __init__(self, error: str | None, cause: str | None = None) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause
