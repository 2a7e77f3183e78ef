"""What chooses in play reads an answer as the critic read it in training (torch)."""

from collections.abc import Iterable, Sequence

import pytest
import torch

from agents.best_of_n import action_values
from agents.lm import LMPolicy
from agents.protocols import Conversation
from agents.rollout import collect
from agents.sampling import Sampling
from agents.utterance_critics import Reading, UtteranceCritic
from algorithms.batch import make_batch
from algorithms.utterances.situations import look_at, read
from lmenvs.types import Action
from tests.support.language import with_random_heads
from tests.support.training import MICROWAVE, beginner


class Judged:
    """A policy, each of whose answers a critic judges as soon as it is said."""

    version = 0

    def __init__(self, policy: LMPolicy, critic: UtteranceCritic):
        self._policy, self._critic = policy, critic
        self.said: dict[str, list[float]] = {}

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        policy = self._policy
        actions = policy.act(conversations)
        values = action_values(self._critic, policy.model, policy.chat, conversations, actions)
        for one, value in zip(conversations, values.tolist(), strict=True):
            self.said.setdefault(one.id, []).append(value)
        return actions

    def forget(self, ids: Iterable[str]) -> None:
        self._policy.forget(ids)


@torch.no_grad()
@pytest.mark.parametrize(
    "reading",
    [
        Reading("episode"),
        Reading("policy"),
        Reading("turn"),
        Reading("turn", history=None),
        Reading("apart"),
        Reading("apart", history=1),
    ],
    ids=str,
)
def test_the_values_in_play_are_those_of_training(reading: Reading):
    model, chat = beginner()
    critic = UtteranceCritic(model, reading)
    with_random_heads(critic)
    critic.eval()
    player = Judged(LMPolicy(model, chat, Sampling(max_new_tokens=4)), critic)
    (episode,) = collect(MICROWAVE, player, [3])
    batch = make_batch([episode], chat)
    states = read(critic, model, look_at(batch, None, [episode], chat, critic))
    expected = critic.action_values(states.before, states.said).min(-1).values[0]
    (found,) = player.said.values()
    assert len(found) == len(episode.turns) >= 2
    torch.testing.assert_close(torch.tensor(found), expected, atol=1e-5, rtol=1e-4)
