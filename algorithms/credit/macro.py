"""Macro actions: several tokens of a turn judged as one. Chai et al., MA-RLHF (2024, ICLR 2025).

A rule cuts every turn into macro actions; GAE runs over the macro actions of the episode, and each
token gets the advantage of its macro action. macros_TL holds one array of labels per turn:
consecutive tokens of a turn with equal labels form one macro action, and none crosses a turn.

Deviations. The paper averages the values of a macro action's tokens (its code offers other
weights); values after the first have seen tokens they help to judge, so here a macro action's
value is the one before its first token. The code weighs rewards inside a macro action as it weighs
values; here a turn's reward follows its last token and is never divided. The paper's phrases come
from a constituency parser; `phrase_macros` goes by punctuation and function words. Macro actions of
random length and those that end where perplexity rises are left out.
"""

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .returns import Numbers, check_rate
from .tokens import flat_episode, per_turn, two_rate_gae

Labels = NDArray[np.int64]

SENTENCE_END = re.compile(r"""[.!?…]+["'”’)\]]*(?=\s|$)|[。！？]+|\n\s*""")
PHRASE_END = re.compile(r"""[,;:]["'”’)\]]*(?=\s|$)|[，；：、]""")
# Words that open a phrase or a clause. A run of them ("out of the") opens one phrase.
OPENING_WORD = (
    "(?:and|or|but|so|because|that|which|who|when|while|where|if|unless|until|then|to|of|in|on|at|"
    "by|for|from|with|without|into|onto|over|under|than|as|the|an?)"
)
PHRASE_START = re.compile(rf"\b{OPENING_WORD}\b(?:\s+{OPENING_WORD}\b)*", re.IGNORECASE)


def macro_action_gae(
    rewards_T: Numbers,
    values_TL: Sequence[Numbers],
    macros_TL: Sequence[Sequence[int] | NDArray[np.integer]],
    discount: float,
    lam: float,
    bootstrap: float = 0.0,
) -> list[NDArray[np.float64]]:
    """GAE over macro actions: A_m = r_m + discount * V_{m+1} - V_m + discount * lam * A_{m+1}.

    m runs through the macro actions of all turns; V_m is the value before the first token of m, and
    r_m the turn's reward if m is the last of its turn, else 0. Source: Chai et al. (2024),
    with the deviations in this file's header. A turn without tokens is treated as in `tokens`.

    Exact with discount = 1 and either lam = 1 or the policy's exact values. With discount < 1
    biased as `token_gae` is, by the number of macro actions.

    Measured bias on a chain of words, in pairs, as (cosine to the true gradient, relative error):
    discount 0.9 (0.9966, 0.082); lambda 0.95 with values of 0 (0.9991, 0.042).

    >>> credit = macro_action_gae([0.0, 1.0], [[0.5, 9.0], [0.5]], [[0, 0], [0]], 1.0, 0.0)
    >>> [a.tolist() for a in credit]
    [[0.0, 0.0], [0.5]]
    """
    check_rate("discount", discount)
    check_rate("lam", lam)
    rewards, values, lengths = flat_episode(rewards_T, values_TL)
    labels = _flat_labels(macros_TL, lengths)
    opens = np.ones(len(values), dtype=np.bool_)
    opens[1:] = labels[1:] != labels[:-1]
    turn_edges = np.cumsum([0, *lengths])
    opens[turn_edges[:-1][np.array(lengths, dtype=np.intp) > 0]] = True
    firsts = np.flatnonzero(opens)
    macros_before = np.concatenate(([0], np.cumsum(opens)))[turn_edges]
    rates = (discount, lam)
    macros_per_turn = np.diff(macros_before).tolist()
    flat = two_rate_gae(rewards, values[firsts], macros_per_turn, rates, rates, bootstrap)
    return per_turn(np.repeat(flat, np.diff(firsts, append=len(values))), lengths)


def ngram_macros(lengths_T: Sequence[int] | NDArray[np.integer], n: int) -> list[Labels]:
    """Macro actions of n tokens, counted from the start of each turn: label(j) = j // n.

    Source: Chai et al. (2024), fixed n-gram termination.

    >>> [labels.tolist() for labels in ngram_macros([5, 1], n=2)]
    [[0, 0, 1, 1, 2], [0]]
    """
    if n < 1:
        raise ValueError(f"n is {n}; expected at least one token per macro action")
    lengths_T = _checked_lengths(lengths_T)
    places = np.arange(lengths_T.sum()) - np.repeat(np.cumsum(lengths_T) - lengths_T, lengths_T)
    return per_turn(places // n, lengths_T.tolist())


def turn_macros(lengths_T: Sequence[int] | NDArray[np.integer]) -> list[Labels]:
    """Every turn one macro action: label(j) = 0. Then `macro_action_gae` is turn-level GAE.

    >>> [labels.tolist() for labels in turn_macros([2, 1])]
    [[0, 0], [0]]
    """
    lengths_T = _checked_lengths(lengths_T)
    return per_turn(np.zeros(lengths_T.sum(), dtype=np.int64), lengths_T.tolist())


def sentence_macros(texts_TL: Sequence[Sequence[str]]) -> list[Labels]:
    """Every sentence or line one macro action: a new label after each sentence's end.

    texts_TL[k][j] is the text of token j of turn k. A sentence ends after . ! ? or … before white
    space (so not inside 3.14), after their full-width forms, and at a line break. A token belongs
    where its first visible character stands.

    >>> [labels.tolist() for labels in sentence_macros([["Go", ".", " Look", "!"], ["Stop"]])]
    [[0, 0, 1, 1], [0]]
    """
    return [_labels(texts_L, _sentence_breaks("".join(texts_L))) for texts_L in texts_TL]


def phrase_macros(texts_TL: Sequence[Sequence[str]]) -> list[Labels]:
    """Every phrase one macro action: a new label after each phrase's end.

    A phrase ends where a sentence does, after a comma, semicolon or colon before white space, and
    before a run of English function words that open phrases ("in the", "and"). This rule stands in
    for the constituency parser of Chai et al. (2024).

    >>> phrase_macros([["open", " the", " box", ",", " then", " go"]])[0].tolist()
    [0, 1, 1, 1, 2, 2]
    """
    return [_labels(texts_L, _phrase_breaks("".join(texts_L))) for texts_L in texts_TL]


def _sentence_breaks(text: str) -> list[int]:
    return [match.end() for match in SENTENCE_END.finditer(text)]


def _phrase_breaks(text: str) -> list[int]:
    ends = [match.end() for match in PHRASE_END.finditer(text)]
    return _sentence_breaks(text) + ends + [m.start() for m in PHRASE_START.finditer(text)]


def _labels(texts_L: Sequence[str], breaks: list[int]) -> Labels:
    ahead = iter(sorted(breaks))
    next_break = next(ahead, math.inf)
    start, label, labels = 0, 0, list[int]()
    for text in texts_L:
        indent = len(text) - len(text.lstrip())
        place = start + indent if indent < len(text) else start
        if next_break <= place:
            label += 1
            while next_break <= place:
                next_break = next(ahead, math.inf)
        labels.append(label)
        start += len(text)
    return np.array(labels, dtype=np.int64)


def _flat_labels(
    macros_TL: Sequence[Sequence[int] | NDArray[np.integer]], lengths: list[int]
) -> Labels:
    if len(macros_TL) != len(lengths):
        raise ValueError(
            f"macro labels of {len(macros_TL)} turns for values of {len(lengths)} turns; "
            "give one array per turn"
        )
    for turn, (labels_L, length) in enumerate(zip(macros_TL, lengths, strict=True)):
        if len(labels_L) != length:
            raise ValueError(
                f"turn {turn}: {len(labels_L)} macro labels for {length} token values; "
                "give one label per token"
            )
    turns = [np.asarray(labels_L, dtype=np.int64) for labels_L in macros_TL]
    return np.concatenate(turns) if turns else np.zeros(0, dtype=np.int64)


def _checked_lengths(lengths_T: Sequence[int] | NDArray[np.integer]) -> Labels:
    lengths = np.asarray(lengths_T, dtype=np.int64)
    if lengths.ndim != 1 or lengths.min(initial=0) < 0:
        raise ValueError(f"lengths_T is {lengths.tolist()}; expected 0 or more tokens per turn")
    return lengths
