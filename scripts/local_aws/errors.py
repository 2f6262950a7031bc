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
