from __future__ import annotations

from matbind.modalities.text.query import read


def test_a_text_is_taken_as_it_is() -> None:
    assert read("text", "NaCl is Halite.") == "NaCl is Halite."
