"""The exceptions whose message is all that a user is shown."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from matbind.base.extras import missing

USER_ERROR = 2
"""Exit code of a command that a :class:`UserError` ended."""


class UserError(Exception):
    """A mistake in what the user gave: settings, data or arguments.

    The message is one sentence that names the file, row, column or key, says what is there and what is expected.
    The command line prints it without a traceback and ends with exit code 2.
    """


class StageError(Exception):
    """Something went wrong that is no mistake of the user's; one sentence, shown without a traceback, exit code 1."""


@contextmanager
def shown() -> Iterator[None]:
    """Run the block; these errors end the process by their sentence, with exit code 2 for a user's mistake, else 1.

    A library of an extra that is not installed is a mistake of the user's too.
    """
    try:
        yield
    except (UserError, StageError, ModuleNotFoundError) as error:
        sentence = missing(error)
        if isinstance(error, ModuleNotFoundError) and sentence is None:
            raise
        sys.stderr.write(f"matbind: {sentence or error}\n")
        sys.exit(1 if isinstance(error, StageError) else USER_ERROR)


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return the words for a message that name what is spelt most like something unknown; empty if nothing is."""
    from difflib import get_close_matches

    lowered = {name.lower(): name for name in known}
    close = get_close_matches(given.lower(), lowered, n=1)
    return f" (did you mean {lowered[close[0]]}?)" if close else ""
