from __future__ import annotations

import pytest

from matbind.report import words


def test_a_change_bears_its_sign() -> None:
    assert (words.signed(0.0214), words.signed(-0.0214)) == ("+0.021", "\N{MINUS SIGN}0.021")


@pytest.mark.parametrize(
    ("names", "sentence"),
    [([], ""), (["dos"], "dos"), (["dos", "text"], "dos and text"), (["a", "b", "c"], "a, b and c")],
)
def test_names_are_listed(names: list[str], sentence: str) -> None:
    assert words.listing(names) == sentence


def test_an_interval_with_an_open_end_is_a_dash() -> None:
    assert words.interval({"low": 0.1, "high": None}) == "\N{EN DASH}"


def test_a_tiny_p_value_is_bounded() -> None:
    assert (words.p_value(1e-30), words.p_value(0.004)) == ("p < 0.0001", "p = 0.004")


def test_one_thing_is_not_many() -> None:
    assert (words.counted(1, "answer"), words.counted(1200, "answer")) == ("1 answer", "1,200 answers")


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [
        (0.01, 0.2, "better"),
        (-0.2, -0.01, "worse"),
        (-0.1, 0.1, "unclear"),
        (0.0, 0.1, "unclear"),
        (None, None, "unclear"),
    ],
)
def test_a_change_is_clear_if_its_interval_excludes_zero(low: float | None, high: float | None, state: str) -> None:
    assert words.state({"low": low, "high": high}) == state


def test_a_text_names_how_its_values_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "{gain:signed} ({row:interval gain_}) in {n:counted pair}, N = {sizes:span .2g}, {ratio:.0f} times"
    monkeypatch.setattr(words, "wording", lambda: {"figure": {"fused": {"caption": text}}})
    row = {"gain_low": 0.1, "gain_high": 0.2}
    values = {"gain": 0.15, "row": row, "n": 2, "sizes": [400, 60], "ratio": 3.4}
    assert words.phrase("figure.fused.caption", **values) == (
        "+0.150 (0.100 to 0.200) in 2 pairs, N = 60 to 4e+02, 3 times"
    )


def test_a_value_that_a_text_needs_must_be_given() -> None:
    with pytest.raises(KeyError, match="seed"):
        words.phrase("summary.trained_once")
