"""Return conditioning: imitate all episodes of a file, told how well each went (torch).

Papers: Chen et al., Decision Transformer: Reinforcement Learning via Sequence Modeling (2021): an
action is predicted from what is to be earned; in play the best return is asked for. Wang et al.,
OpenChat: Advancing Open-source Language Models with Mixed-Quality Data (2024), section 3: one of a
few classes of quality is told, and the likelihood is weighted by exp(reward of the class / beta)
(C-RLFT). `what` is a return or a class; `worst_weight` is the weight of the worst class, the best
weighs 1 and between them weights grow evenly in the logarithm: OpenChat's exp, its beta in another
unit. With two classes and 0.1 it is OpenChat; with one class there is nothing to tell, and it is
behaviour cloning.

What is told is text in the prompt, the same in training and in play: agents/conditioned.py, whose
file stands beside the weights of every checkpoint. A class is of the whole episode: a player needs
to see no rewards to be told it, so that is the default; it stands in every observation (OpenChat
names it in every turn, too). Told once, behind the instructions (`per="episode"`), tiny models do
not find it: on random play of Microwave, 800 steps left 0.37 for good and bad alike, against 0.98
and -1.00. The Decision Transformer's return-to-go is `what="return", per="turn"`: in training what
was still to come, in play the target, less `reward_per_turn` for each turn.

A return says as much of the task as of the play. Where episodes begin in places that can pay more
or less, the best class is of the easy ones, and asking for it elsewhere asks for what was never
seen: of 600 mixed episodes of the maze (layout u, six starts) the best quarter had three starts;
asked for it everywhere, a model that earned -14.8 as a clone earned -41.6 (one seed), and filtered
cloning -58.2. a_lol.py and digirl.py compare with what a state promised; A-LoL earned -2.9 there.

Deviations:
- The paper gives returns as numbers to an embedding of their own; here they are words.
- In play the paper takes off the rewards that were earned; a player here does not know them.
- Actions are encoded anew from their text: ids that a policy sampled belong to a prompt without the
  aim. Undiscounted returns; classes are shares of the file, where OpenChat's are sources of data.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from agents.conditioned import Conditioned, Conditioning, Per, What, edges_of
from agents.lm import LMPolicy
from agents.sampling import Sampling
from lmenvs.types import Episode

from . import losses
from .batch import TokenBatch
from .metrics import update_metrics
from .settings import refuse_impossible
from .trainer.checks import check_episodes
from .trainer.logged_values import policy_step
from .trainer.offline import OfflineSession, open_offline

HELD = 4096  # episodes drawn lately that are not read and encoded again


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds what is drawn; the run repeats to the same numbers
    iterations: int = 20  # each makes `steps` optimizer steps, then logs
    steps: int = 50  # optimizer steps per iteration
    batch_size: int = 32  # episodes per step
    what: What = "class"  # a number is exact, a class is learned from more episodes
    per: Per = "turn"  # told in every observation, or per "episode" once: see agents/conditioned.py
    classes: int = 4  # shares of the file by return; more ask for rarer play, from fewer examples
    worst_weight: float = 1.0  # of classes: how much the worst counts; 0.1 is OpenChat's
    target: float | None = None  # the return to ask for in play; None is the best of the file
    decimals: int = 0  # returns are told with so many
    reward_per_turn: float = 0.0  # what each turn pays by the rules; in play, with per "turn"
    learning_rate: float = 1e-3  # of the policy; a pretrained 1 B model wants about 1e-5
    anneal: float = 0.1  # over the last third, the learning rate falls to this share; 1 holds it
    max_norm: float = 1.0  # gradients longer than this are shortened
    lora_rank: int = 0  # above 0 trains low-rank adapters instead of all weights
    evaluations: int = 32  # training tasks played per iteration for the log; 0 plays none
    max_new_tokens: int = 16  # an action longer than this is cut
    max_turns: int | None = None  # truncate played episodes here, besides the task's own limit
    width: int = 128  # conversations answered at once
    micro_tokens: int = 2048  # padded tokens per pass; fits a CPU cache, a GPU likes 16 times more
    gradient_checkpointing: bool = False  # less memory for a third more time
    save_every: int = 5  # iterations between checkpoints

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        refuse_impossible(self)
        if self.classes < 1 or not 0 < self.worst_weight <= 1 or self.decimals < 0:
            raise ValueError(
                f"classes {self.classes}, worst_weight {self.worst_weight}, decimals "
                f"{self.decimals}; expected at least 1, a number in (0, 1], and at least 0"
            )
        if self.what == "return" and self.worst_weight != 1:
            raise ValueError(
                f"worst_weight {self.worst_weight} with returns: it weighs classes; take what="
                '"class"'
            )


def conditioning_of(returns_E: np.ndarray, config: Config) -> Conditioning:
    """What is told of the episodes of a file, and what is asked for in play."""
    return Conditioning(
        what=config.what,
        per=config.per,
        target=float(returns_E.max()) if config.target is None else config.target,
        edges=edges_of(returns_E, config.classes) if config.what == "class" else (),
        decimals=config.decimals,
        reward_per_turn=config.reward_per_turn,
    )


def class_weight(total: float, conditioning: Conditioning, worst_weight: float) -> float:
    """The weight of an episode by its return: worst_weight ** (1 - share of classes below its own).

    >>> three = Conditioning("class", edges=(0.0, 1.0))
    >>> [round(class_weight(r, three, 0.01), 2) for r in (0.0, 1.0, 2.0)]
    [0.01, 0.1, 1.0]
    """
    steps = max(1, conditioning.classes - 1)
    return worst_weight ** ((conditioning.classes - conditioning.class_of(total)) / steps)


def policy_update(
    session: OfflineSession, batch: TokenBatch, weights_E: list[float], config: Config
) -> dict[str, float]:
    """One step of imitation, each episode by its weight."""
    total = float(batch.policy_tokens)
    given = torch.tensor(weights_E, device=batch.ids.device)[batch.episode]

    def loss(part: TokenBatch, rows: Tensor, logprobs: Tensor) -> losses.LossOutput:
        return losses.negative_log_likelihood(logprobs, part.policy_mask, given[rows], total)

    return policy_step(session.learner, batch, loss, config)


def train(
    env: str,
    model: str | Path | None,
    out: str | Path,
    config: Config = Config(),
    *,
    data: str | Path,
    resume: bool = False,
    device: str = "cpu",
) -> Path:
    """Train on a file of episodes, told how they went; returns the run folder, which plays told.

    `model`, `data`, `device`: see `trainer.offline.open_offline`.
    """
    session = open_offline(
        "return_conditioning", env, data, model, out, config, resume=resume, device=device
    )
    learner = session.learner
    conditioning = conditioning_of(session.data.returns_E, config)
    learner.beside.append(conditioning.save)

    @lru_cache(maxsize=HELD)
    def told(number: int) -> Episode:
        episode = session.data[number]
        check_episodes([episode])
        return learner.chat.encode_episode(conditioning.told(episode))

    for iteration, generator in session.iterations():
        history: list[dict[str, float]] = []
        with session.phase("update"):
            for _ in range(config.steps):
                numbers = generator.integers(len(session.data), size=config.batch_size)
                episodes = [told(int(number)) for number in numbers]
                weights_E = [
                    class_weight(episode.total_reward, conditioning, config.worst_weight)
                    for episode in episodes
                ]
                batch = session.batch(episodes)
                history.append(policy_update(session, batch, weights_E, config))
        sampling = Sampling(max_new_tokens=config.max_new_tokens)
        policy = LMPolicy(learner.model, learner.chat, sampling, iteration)
        session.log(iteration, update_metrics(history), Conditioned(policy, conditioning))
    return session.path
