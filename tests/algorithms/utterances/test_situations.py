"""A critic sees what came before, in each of its three ways of reading, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.utterance_critics import Reading, UtteranceCritic
from algorithms.archer import Config, imagine
from algorithms.batch import make_batch
from algorithms.trainer.learner import Learner
from algorithms.utterances.critic import CriticOptions, critic_of
from algorithms.utterances.situations import look_at, passes, read
from lmenvs.types import Episode
from tests.agents.test_encoders import encoder_folder
from tests.algorithms.test_archer import CONFIG, READINGS, learner_of, prepared, reading
from tests.support.training import beginner, played

BERT = replace(CONFIG, critic=CriticOptions(Reading("apart", encoder_folder(), history=1)))
ALL = {**{name: reading(name) for name in READINGS}, "bert": BERT}


@torch.no_grad()
def states_of(learner: Learner, episodes: list[Episode]) -> tuple[Tensor, Tensor]:
    """[B, T, width] before and behind each turn."""
    critic, _ = critic_of(learner)
    batch = make_batch(episodes, learner.chat)
    seen = look_at(batch, None, episodes, learner.chat, critic)
    states = read(critic, learner.model, seen)
    return states.before, states.said


def otherwise(episode: Episode, turn: int) -> Episode:
    """The same until that turn, whose answer, and all that follows, is different."""
    other = next(
        t.action
        for one in played(8)
        for t in one.turns
        if t.action.text != episode.turns[turn].action.text
    )
    first = episode.turns[turn].action
    changed = replace(
        episode.turns[turn],
        action=replace(other, prompt_ids=first.prompt_ids, fresh=first.fresh),
    )
    return replace(episode, turns=(*episode.turns[:turn], changed))


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_seen_of_an_answer_before_it_and_of_what_follows_it(name: str):
    learner = learner_of(ALL[name])
    episode = max(played(8), key=lambda one: len(one.turns))
    turn = len(episode.turns) // 2
    before, behind = states_of(learner, [episode])
    other_before, other_behind = states_of(learner, [otherwise(episode, turn)])
    upto = slice(0, turn + 1)
    torch.testing.assert_close(before[:, upto], other_before[:, upto], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(behind[:, :turn], other_behind[:, :turn], atol=1e-5, rtol=1e-4)
    assert (behind[:, turn] - other_behind[:, turn]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ALL)
@torch.no_grad()
def test_what_could_be_said_is_read_as_if_it_had_been(name: str):
    learner = learner_of(ALL[name])
    episodes = played(4)
    seen = imagine(learner, episodes, CONFIG, np.random.default_rng(0))
    critic, _ = critic_of(learner)
    found = read(critic, learner.model, seen, siblings=True).siblings
    siblings = seen.siblings
    assert found is not None and siblings is not None
    for row, branch in siblings.branch_mask.nonzero().tolist():
        turn, episode = branch // siblings.count, episodes[row]
        ids = tuple(siblings.token_ids[row, branch][siblings.mask[row, branch]].tolist())
        action = episode.turns[turn].action
        said = replace(action, text=learner.chat.decode(ids), token_ids=ids)
        instead = replace(episode.turns[turn], action=said)
        whole = replace(episode, turns=(*episode.turns[:turn], instead))
        _, behind = states_of(learner, [whole])
        torch.testing.assert_close(behind[0, turn], found[row, branch], atol=1e-4, rtol=1e-3)


def test_texts_that_come_again_are_read_once():
    learner, seen, _ = prepared(reading("turn"))
    assert seen.texts is not None
    assert len({*map(tuple, seen.texts.tokens)}) == len(seen.texts.tokens)
    critic, _ = critic_of(learner)
    # answers hang on what they answer, which is read once: a pass is as long as that
    length = sum(len(seen.texts.tokens[i]) for i in seen.texts.before.unique().tolist())
    assert len(passes(critic, seen, length + 1)) == 1
    several = passes(critic, seen, 1)
    assert sorted(torch.cat(several).tolist()) == list(range(len(seen))) and len(several) > 1


def test_a_policys_states_give_the_policy_no_gradient():
    learner, seen, _ = prepared(reading("policy"))
    critic, _ = critic_of(learner)
    states = read(critic, learner.model, seen)
    critic.values(states.before).sum().backward()
    assert all(weight.grad is None for weight in learner.model.parameters())
    assert any(weight.grad is not None for weight in critic.parameters())


def test_a_reading_that_means_nothing_is_refused():
    for wrong in ({"reads": "dreams"}, {"encoder": "bert"}, {"history": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Reading(**wrong)  # type: ignore[arg-type]


def test_a_critic_of_the_policys_states_is_heads_alone():
    heads = UtteranceCritic(beginner()[0], Reading("policy"))
    assert all("head" in name for name, _ in heads.named_parameters())
    assert isinstance(Config().critic, CriticOptions)
