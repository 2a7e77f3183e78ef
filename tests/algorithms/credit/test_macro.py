"""Macro actions: between token level and turn level, and where each rule cuts."""

import numpy as np
import pytest
from pytest import approx

from algorithms.credit import gae
from algorithms.credit.macro import (
    macro_action_gae,
    ngram_macros,
    phrase_macros,
    sentence_macros,
    turn_macros,
)
from algorithms.credit.tokens import token_gae

SEEDS = range(20)


def random_episode(seed: int) -> tuple[np.ndarray, list[np.ndarray], list[int], float]:
    """Rewards, token values, tokens per turn and a bootstrap value; some turns have no tokens."""
    generator = np.random.default_rng((seed, 31))
    lengths = generator.integers(0, 7, size=generator.integers(1, 7)).tolist()
    values = [generator.normal(size=length) for length in lengths]
    return generator.normal(size=len(lengths)), values, lengths, float(generator.normal())


def pieces(text_L: list[str], labels_L: np.ndarray) -> list[str]:
    """The text of each macro action."""
    return [
        "".join(text for text, its in zip(text_L, labels_L, strict=True) if its == label)
        for label in sorted(set(labels_L.tolist()))
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_macro_actions_of_one_token_are_token_gae(seed: int):
    rewards, values, lengths, end = random_episode(seed)
    credit = macro_action_gae(rewards, values, ngram_macros(lengths, 1), 0.9, 0.8, end)
    expected = token_gae(rewards, values, 0.9, 0.8, end)
    assert np.concatenate(credit) == approx(np.concatenate(expected))


@pytest.mark.parametrize("seed", SEEDS)
def test_macro_actions_of_a_whole_turn_are_turn_level_gae_on_the_first_values(seed: int):
    rewards, values, _, end = random_episode(seed)
    values = [np.append(values_L, 0.5) for values_L in values]
    lengths = [len(values_L) for values_L in values]
    credit = macro_action_gae(rewards, values, turn_macros(lengths), 0.9, 0.8, end)
    turn_level = gae(rewards, [values_L[0] for values_L in values], 0.9, 0.8, end)
    for turn, length in enumerate(lengths):
        assert credit[turn].tolist() == approx([turn_level[turn]] * length)
    longest = ngram_macros(lengths, max(lengths))
    assert np.concatenate(longest).tolist() == np.concatenate(turn_macros(lengths)).tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_macro_actions_are_token_gae_on_the_episode_that_keeps_their_first_tokens(seed: int):
    rewards, values, lengths, end = random_episode(seed)
    generator = np.random.default_rng((seed, 32))
    labels = [generator.integers(0, 2, size=length) for length in lengths]
    firsts = [
        [j for j in range(length) if j == 0 or labels_L[j] != labels_L[j - 1]]
        for length, labels_L in zip(lengths, labels, strict=True)
    ]
    kept = [values_L[first] for values_L, first in zip(values, firsts, strict=True)]
    coarse = token_gae(rewards, kept, 0.9, 0.8, end)
    credit = macro_action_gae(rewards, values, labels, 0.9, 0.8, end)
    for turn, first in enumerate(firsts):
        owners = np.searchsorted(first, np.arange(lengths[turn]), side="right") - 1
        assert credit[turn].tolist() == approx(coarse[turn][owners].tolist())


def test_values_inside_a_macro_action_are_never_read():
    seen = macro_action_gae([1.0], [[2.0, 3.0, 4.0]], [[0, 0, 1]], 0.5, 0.5)
    unseen = macro_action_gae([1.0], [[2.0, 99.0, 4.0]], [[0, 0, 1]], 0.5, 0.5)
    # d = (.5*4 - 2, 1 - 4) = (0, -3); A_0 = 0 + .25*-3
    assert seen[0].tolist() == unseen[0].tolist() == [-0.75, -0.75, -3.0]


def test_equal_labels_on_both_sides_of_a_turn_are_two_macro_actions():
    same = macro_action_gae([0.0, 4.0], [[1.0, 1.0], [1.0]], [[0, 0], [0]], 0.5, 1.0)
    other = macro_action_gae([0.0, 4.0], [[1.0, 1.0], [1.0]], [[0, 0], [7]], 0.5, 1.0)
    assert [a.tolist() for a in same] == [a.tolist() for a in other] == [[1.0, 1.0], [3.0]]


def test_a_label_that_returns_after_another_opens_a_new_macro_action():
    back = macro_action_gae([4.0], [[0.0, 0.0, 0.0]], [[0, 1, 0]], 0.5, 1.0)
    assert back[0].tolist() == [1.0, 2.0, 4.0]


def test_with_lambda_one_and_no_discount_every_cut_gives_return_minus_value_before_the_macro():
    rewards, values = [1.0, 2.0], [[0.5, 9.0, 0.25], [1.0, 9.0]]
    credit = macro_action_gae(rewards, values, [[0, 0, 1], [0, 0]], 1.0, 1.0, bootstrap=3.0)
    assert [a.tolist() for a in credit] == [[5.5, 5.5, 5.75], [4.0, 4.0]]


def test_turns_without_tokens_and_empty_episodes_pass():
    credit = macro_action_gae([1.0, 4.0, 8.0], [[3.0], [], [2.0]], [[0], [], [0]], 0.5, 0.5)
    assert [a.tolist() for a in credit] == [[1.25], [], [6.0]]
    assert macro_action_gae([], [], [], 0.5, 0.5) == []
    assert [labels.tolist() for labels in ngram_macros([0, 2], 3)] == [[], [0, 0]]
    assert (turn_macros([]), ngram_macros([], 2), phrase_macros([])) == ([], [], [])
    assert sentence_macros([[]])[0].tolist() == []


@pytest.mark.parametrize(
    ("tokens", "sentences"),
    [
        (["Hi", ".", " You"], ["Hi.", " You"]),
        (["Pi", " is", " 3", ".", "14", "."], ["Pi is 3.14."]),
        (["a", "\n", "b", "\n\n", "c"], ["a\n", "b\n\n", "c"]),
        (['"Stop', '!"', " he", " said", "..."], ['"Stop!"', " he said..."]),
        (["Go!", " ", "Now"], ["Go!", " Now"]),
        (["好。", "走"], ["好。", "走"]),
        (["", "a", "", "."], ["a."]),
        (["a. b", " c"], ["a. b", " c"]),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(tokens: list[str], sentences: list[str]):
    (labels,) = sentence_macros([tokens])
    assert pieces(tokens, labels) == sentences
    assert labels[0] == 0 and set(np.diff(labels).tolist()) <= {0, 1}


@pytest.mark.parametrize(
    ("tokens", "phrases"),
    [
        (["go", " out", " of", " the", " room"], ["go out", " of the room"]),
        (["north", ",", " then", " east"], ["north,", " then east"]),
        (["the", "me", " song"], ["theme song"]),
        (["take", " it", ".", " Look", " in", " box"], ["take it.", " Look", " in box"]),
        (["10", ":", "30"], ["10:30"]),
        (["and", " so", " on"], ["and so on"]),
    ],
)
def test_phrases_end_at_punctuation_and_before_words_that_open_one(
    tokens: list[str], phrases: list[str]
):
    (labels,) = phrase_macros([tokens])
    assert pieces(tokens, labels) == phrases


def test_every_sentence_is_made_of_whole_phrases():
    tokens = ["Open", " the", " box", ",", " then", " go", ".", " It", " is", " on", " top", "!"]
    (phrases,), (sentences,) = phrase_macros([tokens]), sentence_macros([tokens])
    assert phrases.tolist() == [0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4]
    assert sentences.tolist() == [0] * 7 + [1] * 5


def test_each_turn_starts_its_own_macro_actions():
    labels = sentence_macros([["no", " stop"], ["here", ".", " More"]])
    assert [labels_L.tolist() for labels_L in labels] == [[0, 0], [0, 0, 1]]
    assert [labels_L.tolist() for labels_L in ngram_macros([3, 4], 2)] == [[0, 0, 1], [0, 0, 1, 1]]


def test_wrong_arguments_are_refused_in_one_line():
    with pytest.raises(ValueError, match="macro labels of 1 turns for values of 2 turns; give one"):
        macro_action_gae([1.0, 2.0], [[1.0], [1.0]], [[0]], 0.9, 0.9)
    with pytest.raises(ValueError, match="turn 1: 2 macro labels for 1 token values; give one"):
        macro_action_gae([1.0, 2.0], [[1.0], [1.0]], [[0], [0, 1]], 0.9, 0.9)
    with pytest.raises(ValueError, match="n is 0; expected at least one token"):
        ngram_macros([3], 0)
    with pytest.raises(ValueError, match=r"lengths_T is \[3, -1\]; expected 0 or more"):
        turn_macros([3, -1])
    with pytest.raises(ValueError, match=r"lam is 2"):
        macro_action_gae([1.0], [[1.0]], [[0]], 0.9, 2)
