import numpy as np
import pytest

from agents.lm import LMPolicy
from agents.mixed import MixedPolicy, learners_turns, turn_of
from agents.protocols import Conversation
from agents.rollout import collect
from agents.sampling import Sampling
from agents.scripted import ExpertPolicy
from algorithms.batch import make_batch
from algorithms.forward import recompute_logprobs
from lmenvs.types import Episode
from tests.support.language import chat, model
from tests.support.training import MICROWAVE, beginner

EIGHT = Sampling(max_new_tokens=8)


def even(conversation: Conversation) -> bool:
    return turn_of(conversation) % 2 == 0


def odd(conversation: Conversation) -> bool:
    return turn_of(conversation) % 2 == 1


def both(rule=even, width: int = 8) -> list[Episode]:
    mixed = MixedPolicy(LMPolicy(*beginner(), EIGHT), ExpertPolicy(), rule)
    return collect(MICROWAVE, mixed, range(8), width=width)


@pytest.mark.parametrize("rule", [even, odd])
def test_each_turn_is_spoken_by_the_policy_whose_turn_it_is(rule):
    for one in both(rule):
        guided = np.arange(len(one.turns)) % 2 == (0 if rule is even else 1)
        assert (learners_turns(one) == ~guided).all()
    firsts = {one.turns[0].action.text for one in both(rule)}
    assert (firsts == {"open the microwave"}) == (rule is even)


def test_width_changes_nothing():
    wide, narrow = both(width=8), both(width=1)
    assert [[t.action.text for t in e.turns] for e in wide] == [
        [t.action.text for t in e.turns] for e in narrow
    ]


@pytest.mark.parametrize("rule", [even, odd])
def test_the_learner_is_trained_on_the_words_that_it_answered(rule):
    episodes = [one for one in both(rule) if learners_turns(one).any()]
    language_model, style = beginner()
    batch = make_batch(episodes, style)
    read_ETL = batch.by_token(recompute_logprobs(language_model, batch, 10**6), len(episodes))
    for one, read_TL in zip(episodes, read_ETL, strict=True):
        own_T = learners_turns(one)
        assert not own_T.all()
        for turn in np.flatnonzero(own_T):
            np.testing.assert_allclose(one.turns[turn].action.logprobs, read_TL[turn], atol=1e-4)


def test_a_guide_with_another_tokenizer_is_asked_and_heard_in_words():
    guide = LMPolicy(model(), chat(), EIGHT)
    learner = LMPolicy(*beginner(), EIGHT)
    alone = collect(MICROWAVE, guide, range(4), max_turns=1)
    (first, *_), *_ = [one.turns for one in alone]
    mixed = MixedPolicy(learner, guide, even)
    episodes = collect(MICROWAVE, mixed, range(4), max_turns=3)
    assert episodes[0].turns[0].action.text == first.action.text
    batch = make_batch(episodes, learner.chat)
    assert int(batch.ids.max()) < len(learner.chat.tokenizer)
    for one in episodes:
        assert not one.turns[0].action.token_ids and one.turns[1].action.token_ids


def test_both_forget_what_is_over():
    gone: list[tuple[str, list[str]]] = []

    class Noting(ExpertPolicy):
        def __init__(self, name: str):
            self.name = name

        def forget(self, ids) -> None:
            gone.append((self.name, list(ids)))

    mixed = MixedPolicy(Noting("learner"), Noting("guide"), even)
    collect(MICROWAVE, mixed, [3])
    assert gone == [("learner", [f"{MICROWAVE}#3.0"]), ("guide", [f"{MICROWAVE}#3.0"])]
