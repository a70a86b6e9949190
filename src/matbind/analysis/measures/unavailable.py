"""Questions that the data at hand cannot answer."""

from __future__ import annotations


class UnavailableError(ValueError):
    """The data do not suffice for an answer; one sentence why. Whoever asks many questions goes on with the next."""
