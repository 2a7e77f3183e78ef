"""RLGF: a guide begins the policy's episodes, or plays them to their end (torch).

Paper: Chang et al., Learning to Generate Better Than Your LLM (2023): reinforcement learning with
guided feedback, where roll-in (how a state is reached) and roll-out (how it is played on) may be a
guide's: any policy, asked for actions only.

| method | roll-in | roll-out | what is learned |
|---|---|---|---|
| ppo++ | the guide, up to a random turn | the policy | to win from where the guide would be |
| aggrevated | the policy, up to a random turn | the guide, one turn later | to better the guide |
| lols | a coin for each iteration (`switch` is the chance of ppo++) | | both |
| d2lols | aggrevated for the first `switch` of the run, then ppo++ | | the one, then the other |

`guided` is the part of the groups that are played so; the others are the policy's own from the
start, and 0 is RLOO. The members of a group share the state at the random turn. Under ppo++ they
are trained on all that they say from there, compared by their returns (Kool et al. 2019). Under
aggrevated one turn of each is trained, by Q_guide(s, a) less the mean of the others', which is the
exact one-step policy gradient of AggreVaTeD (Sun et al. 2017) at states of the policy.

Deviations: turns instead of tokens; leave-one-out groups instead of a critic and PPO's epochs. The
authors' code trains all of the policy's tokens before the guide takes over; here it is the last
turn, whose credit alone is the guide's advantage. The roll-in is drawn as theirs: a whole episode,
cut at a turn that is as likely as any other; its turns are paid for. Roll-ins are not mixed turn by
turn. A guide's play that is cut short is worth what it had earned.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from agents.making import make_policy
from agents.mixed import MixedPolicy, episode_in_words
from agents.protocols import Conversation, Policy
from lmenvs.types import Episode

from .credit import leave_one_out, spread
from .demonstrated import own_turns
from .settings import refuse_impossible
from .trainer.experience import kept_groups
from .trainer.objective import Objective
from .trainer.session import Session, open_session
from .trainer.update import update

Method = Literal["ppo++", "aggrevated", "lols", "d2lols"]
Way = Literal["ppo++", "aggrevated"]


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each collects fresh groups and updates on them
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    groups: int = 16  # states per iteration from which a group plays
    group_size: int = 8  # episodes from each; a larger group has a steadier baseline
    guide: str = "expert"  # any policy spec: what begins episodes, or ends them
    guided: float = 0.5  # share of the groups that the guide has a part in; 0 is RLOO
    method: Method = "ppo++"  # which part: see above
    switch: float = 0.5  # d2lols: the share of the run before ppo++; lols: the chance of ppo++
    objective: Objective = Objective(reference_kl=0.01)  # of the policy: clip, KL, entropy, masks
    target_kl: float | None = None  # the policy rests for the iteration once it moved so far (nats)
    epochs: int = 1  # passes over an iteration's episodes
    minibatches: int = 2  # optimizer steps per pass
    learning_rate: float = 3e-4  # of the policy; a pretrained 1 B model wants about 1e-6
    anneal: float = 1.0  # over the last third, learning rates fall to this share; 1 holds them
    max_norm: float = 1.0  # gradients longer than this are shortened
    lora_rank: int = 0  # above 0 trains low-rank adapters instead of all weights
    max_new_tokens: int = 16  # an action longer than this is cut
    max_turns: int | None = None  # truncate episodes here, besides the task's own limit
    width: int = 128  # conversations answered at once
    micro_tokens: int = 2048  # padded tokens per pass; fits a CPU cache, a GPU likes 16 times more
    gradient_checkpointing: bool = False  # less memory for a third more time
    save_every: int = 10  # iterations between checkpoints
    engine: str = ""  # what samples, "" in this process; see agents.making.open_engine

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        refuse_impossible(self)
        for name, share in (("guided", self.guided), ("switch", self.switch)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} {share}; expected a share from 0 to 1")


def way_now(config: Config, done: float, generator: np.random.Generator) -> Way:
    """What the guide does in an iteration, once so much of the run is done."""
    if config.method == "d2lols":
        return "aggrevated" if done < config.switch else "ppo++"
    if config.method == "lols":
        return "ppo++" if generator.random() < config.switch else "aggrevated"
    return config.method


def draw_turns(trunks: Sequence[Episode], generator: np.random.Generator) -> dict[str, int]:
    """A turn of each episode, every one as likely: where the roll-in ends."""
    return {trunk.id: int(generator.integers(len(trunk.turns))) for trunk in trunks}


def guided_groups(
    session: Session,
    policy: Policy,
    guide: Policy,
    seeds: np.ndarray,
    size: int,
    way: Way,
    generator: np.random.Generator,
) -> list[Episode]:
    """A group of so many for each task, which goes on from a roll-in of its own."""
    if way == "ppo++":
        told = [episode_in_words(trunk) for trunk in session.collect(guide, seeds)]
        trunks = [session.learner.chat.encode_episode(trunk) for trunk in told]
        turns = draw_turns(trunks, generator)
        forks = session.branch(policy, trunks, lambda trunk: [turns[trunk.id]], size)
        # one whose first action filled the model's window took no turn of its own
        return [fork for fork in forks if own_turns(fork).any()]
    trunks = session.collect(policy, seeds)
    turns = draw_turns(trunks, generator)
    mixed = MixedPolicy(policy, guide, took_its_turn)
    forks = session.branch(mixed, trunks, lambda trunk: [turns[trunk.id]], size)
    return [settled(fork) for fork in forks if own_turns(fork).any()]


def took_its_turn(conversation: Conversation) -> bool:
    """Whether a continuation has taken the one turn that is the policy's own."""
    assert conversation.parent is not None  # it shares the messages before its first own answer
    return len(conversation.messages) > conversation.parent[1]


def settled(fork: Episode) -> Episode:
    """The episode up to its own turn, which is paid what came of it: the guide's part is over."""
    assert fork.parent is not None
    first = fork.parent[1]
    worth = sum(turn.reward for turn in fork.turns[first:])
    turns = (*fork.turns[:first], replace(fork.turns[first], reward=worth))
    return replace(fork, turns=turns, terminated=True, truncated=False)


def credit(episodes: Sequence[Episode]) -> list[np.ndarray]:
    """One array per episode: its leave-one-out advantage at each of its turns."""
    groups_E = [str(episode.group) for episode in episodes]
    advantages_E = leave_one_out([episode.total_reward for episode in episodes], groups_E)
    return spread(advantages_E, [len(episode.turns) for episode in episodes])


def train(
    env: str,
    model: str | Path,
    out: str | Path,
    config: Config = Config(),
    *,
    resume: bool = False,
    device: str = "cpu",
    env_workers: int = 0,
    step_timeout: float | None = None,
) -> Path:
    """Train a model folder or hub id on an environment's training split; returns the run folder.

    `device`, `env_workers`, `step_timeout`: see `trainer.session.open_session`.
    """
    session = open_session(
        "rlgf",
        env,
        model,
        out,
        config,
        resume=resume,
        device=device,
        env_workers=env_workers,
        step_timeout=step_timeout,
    )
    count = round(config.guided * config.groups)
    guide = make_policy(config.guide) if count else None
    for iteration, generator in session.iterations():
        with session.phase("collect"), session.sampler(iteration) as policy:
            seeds = generator.integers(2**31, size=config.groups)
            played = session.collect(policy, seeds[count:], config.group_size)
            forks: list[Episode] = []
            if guide is not None:
                way = way_now(config, session.done(iteration), generator)
                forks = guided_groups(
                    session, policy, guide, seeds[:count], config.group_size, way, generator
                )
        with session.phase("credit"):
            kept = kept_groups([*played, *forks], config.objective.equal_groups)
            experience = session.read(kept, [own_turns(episode) for episode in kept])
            advantages_ET = credit(experience.episodes)
            advantages = experience.spread(advantages_ET, config.objective.normalise)
        with session.phase("update"):
            measured = update(session.learner, experience, advantages, config, generator)
        if forks:
            measured["guided/success"] = float(np.mean([fork.success for fork in forks]))
        session.log(iteration, experience, advantages_ET, measured, played=played or forks)
    return session.path
