"""The one exception a user is meant to read."""


class UserError(Exception):
    """A mistake in what the user gave: settings, data or arguments.

    The message is one sentence that names the file, row, column or key, says what is there and what is expected.
    The command line prints it without a traceback and ends with exit code 2.
    """
