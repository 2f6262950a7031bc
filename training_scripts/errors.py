"""The base of all errors that a user can fix. Training cannot import the one of `scripts`."""


class UserError(Exception):
    """Its message says what is wrong, why, and what to do."""
