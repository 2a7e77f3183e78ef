"""Play the best of several answers by a critic's judgement (torch): acting without an actor.

At every turn each conversation is forked n times, the forks are answered, and the answer with the
greatest min_k Q_k is given. Source: CHAI (Verma et al., Chatbots with Hierarchical Offline RL,
2022); ArCHer (Zhou et al., 2024) compares with it. A run's folder that holds judge.json beside its
model is played so by `hf:FOLDER`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from lmenvs.types import Action

from .chat import Chat
from .encoders import told
from .lm import load_policy
from .protocols import Conversation, Policy
from .reading import read
from .sampling import Sampling
from .sequences import recorded
from .utterance_critics import UtteranceCritic, load_judge


class BestOfN:
    """A policy that says the best of what another one would say.

    Args:
        policy: Samples the candidates.
        critic: Judges them.
        model: Whose states a critic reads that has no reader of its own.
        chat: The conversation format of the model.
        candidates: How many are judged at each turn.
    """

    def __init__(
        self,
        policy: Policy,
        critic: UtteranceCritic,
        model: PreTrainedModel,
        chat: Chat,
        candidates: int,
    ):
        if candidates < 1:
            raise ValueError(f"candidates {candidates}; expected at least 1")
        self._policy, self._critic, self._model, self._chat = policy, critic, model, chat
        self._candidates = candidates
        self._said: dict[str, str] = {}  # conversation -> the fork whose answer it was given last

    @property
    def version(self) -> int:
        """That of the policy that samples."""
        return self._policy.version

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """The best of each conversation's candidates."""
        forks = [self._fork(one, k) for one in conversations for k in range(self._candidates)]
        actions = self._policy.act(forks)
        scores = action_values(self._critic, self._model, self._chat, forks, actions)
        best = scores.view(len(conversations), -1).argmax(1).tolist()
        chosen = [index * self._candidates + pick for index, pick in enumerate(best)]
        gone = {fork.id for fork in forks} - {forks[place].id for place in chosen}
        for one, place in zip(conversations, chosen, strict=True):
            gone |= {self._said.get(one.id, "")} - {""}
            self._said[one.id] = forks[place].id
        self._policy.forget(sorted(gone))
        return [actions[place] for place in chosen]

    def _fork(self, one: Conversation, number: int) -> Conversation:
        """A copy with chance of its own, whose past is the fork's that was chosen before."""
        name = f"{one.id}~{len(one.messages)}.{number}"
        before = self._said.get(one.id)
        parent = one.parent if before is None else (before, len(one.messages) - 1)
        return replace(one, id=name, seed=(*one.seed, number), parent=parent)

    def forget(self, ids: Iterable[str]) -> None:
        """These conversations are over, and so are their forks."""
        forks = [self._said.pop(name) for name in list(ids) if name in self._said]
        self._policy.forget(forks)


@torch.no_grad()
def action_values(
    critic: UtteranceCritic,
    model: PreTrainedModel,
    chat: Chat,
    conversations: Sequence[Conversation],
    actions: Sequence[Action],
) -> Tensor:
    """min_k Q_k [N] of one action for each conversation; -inf where nothing could be said."""
    if critic.encoder is not None:
        pasts = [_past(one, critic.reading.history) for one in conversations]
        said = [
            critic.reading.behind(past, action.text)
            for past, action in zip(pasts, actions, strict=True)
        ]
        known = critic.encoder.tokens([*pasts, *said], chat.tokenizer)
        before, behind = critic.encoder.embed(known).chunk(2)
    else:
        stems = [_stem(*pair) for pair in zip(conversations, actions, strict=True)]
        rows = [[*ids, *a.token_ids] for ids, a in zip(stems, actions, strict=True)]
        ends = torch.tensor([[len(ids) - 1] for ids in stems])
        lasts = torch.tensor([[len(row) - 1] for row in rows])
        width = int(lasts.max()) + 1
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=model.device)
        hidden = read(critic.stack(model), ids, lasts[:, 0] + 1).rows().float()
        each = torch.arange(len(rows))
        before, behind = hidden[each, ends[:, 0]], hidden[each, lasts[:, 0]]
    anything = torch.tensor([bool(action.token_ids) for action in actions], device=before.device)
    scores = critic.action_values(before, behind).min(-1).values
    return torch.where(anything, scores, -torch.inf)


def _past(one: Conversation, history: int | None) -> str:
    """What a critic of texts reads of a conversation."""
    said = {role: [m.content for m in one.messages if m.role == role] for role in _ROLES}
    return told("\n".join(said["system"]), said["user"], said["assistant"], history)


_ROLES = ("system", "user", "assistant")


def _stem(one: Conversation, action: Action) -> list[int]:
    """The ids that the action answers."""
    return [*([] if action.fresh else recorded(one)[0]), *action.prompt_ids]


def load_best_of_n(path: str | Path, sampling: Sampling = Sampling()) -> BestOfN:
    """The policy of a model folder with a judge beside the model."""
    policy = load_policy(path, sampling)
    critic, candidates = load_judge(policy.model, Path(path))
    return BestOfN(policy, critic, policy.model, policy.chat, candidates)
