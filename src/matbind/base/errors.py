"""The exceptions whose message is all that a user is shown."""

USER_ERROR = 2
"""Exit code of a command that a :class:`UserError` ended."""


class UserError(Exception):
    """A mistake in what the user gave: settings, data or arguments.

    The message is one sentence that names the file, row, column or key, says what is there and what is expected.
    The command line prints it without a traceback and ends with exit code 2.
    """


class StageError(Exception):
    """Something went wrong that is no mistake of the user's; one sentence, shown without a traceback, exit code 1."""
