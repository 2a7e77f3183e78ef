import time

import pytest

from lmenvs.checks.subject import STRINGS
from lmenvs.decoration import bare


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("left", "left"),
        (" Left.\n", "left"),
        ("**LEFT**", "left"),
        ("`move  left`.", "move left"),
        ('"Move\tleft!"', "move left"),
        ("'**left.**'", "left"),
        ("left...", "left"),
        ("...left", "...left"),
        ("left. right.", "left. right"),
        ("action: left", "action: left"),
        ("[left]", "[left]"),
        ("left?", "left?"),
        ("le*ft", "le*ft"),
        ("**", ""),
        ("", ""),
        ("\ud800", "\ud800"),
    ],
)
def test_only_what_stands_around_an_answer_goes(text: str, left: str):
    assert bare(text) == left


def test_what_is_bare_stays_as_it_is_and_any_text_is_read_in_no_time():
    begun = time.process_time()
    for text in (*STRINGS, "*" * 100_000, "a." * 50_000, "' " * 50_000):
        assert bare(bare(text)) == bare(text)
    assert time.process_time() - begun < 0.1  # some 5 ms
