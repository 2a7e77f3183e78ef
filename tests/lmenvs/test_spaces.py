"""The text space holds every string and keeps the contract of a Gymnasium space."""

import copy
import pickle
from typing import Any

import gymnasium
import pytest
from gymnasium.vector.utils import batch_space
from gymnasium.vector.utils.shared_memory import (
    create_shared_memory,
    read_from_shared_memory,
    write_to_shared_memory,
)
from hypothesis import given
from hypothesis import strategies as st

from lmenvs import AnyText


@given(st.text(st.characters()))
def test_every_string_is_in_the_space_and_survives_shared_memory(text: str):
    space = AnyText(buffer_bytes=1024)
    assert text in space
    if len(text.encode("utf-8", "surrogatepass")) <= 1024:
        memory = create_shared_memory(space, 2)
        write_to_shared_memory(space, 1, text, memory)
        assert tuple(read_from_shared_memory(space, memory, 2)) == ("", text)


def test_what_is_no_string_is_not_in_the_space():
    assert 3 not in AnyText() and b"x" not in AnyText() and None not in AnyText()


def test_samples_are_seeded_varied_and_sometimes_not_ascii():
    one, two = AnyText(seed=5), AnyText(seed=5)
    drawn = [one.sample() for _ in range(200)]
    assert drawn == [two.sample() for _ in range(200)]
    assert all(text in one for text in drawn) and len(set(drawn)) > 150
    assert "" in drawn and not all(text.isascii() for text in drawn)
    with pytest.raises(ValueError, match="no mask"):
        one.sample(mask=())  # type: ignore[arg-type]


def test_equal_spaces_are_equal_hashable_and_picklable():
    space = AnyText(buffer_bytes=99)
    assert pickle.loads(pickle.dumps(space)) == space != AnyText()
    assert hash(space) == hash(AnyText(99)) and space != gymnasium.spaces.Text(5)
    assert not space.is_np_flattenable


def test_what_is_read_lives_and_its_copy_does_not():
    space = AnyText(buffer_bytes=64)
    memory = create_shared_memory(space, 3)
    live: Any = read_from_shared_memory(space, memory, 3)
    for index, text in enumerate(("a", "日本", "")):
        write_to_shared_memory(space, index, text, memory)
    kept = copy.deepcopy(live)
    write_to_shared_memory(space, 0, "b", memory)
    assert tuple(live) == ("b", "日本", "") and kept == ("a", "日本", "")
    assert live[-2] == "日本" and live[1:] == ("日本", "") and len(live) == 3
    assert live == ["b", "日本", ""] and repr(live) == repr(tuple(live))
    with pytest.raises(IndexError, match="index 3 for 3 environments"):
        live[3]


def test_a_longer_text_leaves_no_trace_in_a_shorter_one():
    space = AnyText(buffer_bytes=64)
    memory = create_shared_memory(space, 1)
    for text in ("long enough", "ab", ""):
        write_to_shared_memory(space, 0, text, memory)
        assert tuple(read_from_shared_memory(space, memory, 1)) == (text,)


def test_a_text_one_byte_too_long_is_refused_with_both_sizes():
    space = AnyText(buffer_bytes=6)
    memory = create_shared_memory(space, 2)
    write_to_shared_memory(space, 0, "日本", memory)
    with pytest.raises(ValueError, match="observation of 7 bytes, but 6 bytes"):
        write_to_shared_memory(space, 0, "日本x", memory)
    assert tuple(read_from_shared_memory(space, memory, 2)) == ("日本", "")


def test_a_batch_of_texts_is_a_tuple_space():
    batch = batch_space(AnyText(), 2)
    assert ("", "日本") in batch and len(batch.sample()) == 2
