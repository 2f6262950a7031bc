"""The base of all errors that a user can fix."""


class UserError(Exception):
    """Its message says what is wrong, why, and what to do. The command line prints it."""
