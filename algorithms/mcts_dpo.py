"""MCTS-DPO: the policy searches in the environment and prefers what the search found (torch).

Paper: Xie et al., Monte Carlo Tree Search Boosts Reasoning via Iterative Preference Learning
(2024), section 3: a search tree over steps, pairs of the steps with the highest and the lowest
value at a node, DPO on these steps, iterated with the policy of each iteration as its own reference
(`preference.reference="start"` keeps the first). Here a step is a turn and the environment is real:
preferences/mcts.py says how it is searched.

Deviations: values are returns of rollouts; the paper adds the model's evaluation of itself. The
prior of PUCT is how often the policy said an action, not its likelihood over its length. All nodes
are compared whose actions were visited often enough, not only those on the best path. Labels are
taken as certain unless `preference.label_noise` is set (the paper: smoothed by visit counts).
The loss has RPO's term (`preference.sft_weight`; 0 is the paper's): without it small models unlearn
what they say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from agents.protocols import Policy
from lmenvs.types import Episode

from .preferences.mcts import Search, Tree, Turns, search_trees, tree_pairs
from .preferences.update import Preference, fixed_reference, near, paired, standing, update
from .settings import refuse_impossible
from .trainer.objective import Objective
from .trainer.session import Session, open_session


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 40  # each searches some tasks and trains on the pairs
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    tasks: int = 8  # trees per iteration, each of another task
    search: Search = field(default_factory=Search)  # how each is searched
    least_visits: int = 2  # actions with fewer returns are not compared
    margin: float = 0.0  # values of a pair differ by more than this
    preference: Preference = field(default_factory=Preference)  # the loss, and its reference
    epochs: int = 2  # passes over an iteration's pairs
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
        if self.least_visits < 1:
            raise ValueError(f"least_visits {self.least_visits}; expected at least 1")

    @property
    def objective(self) -> Objective:
        """No policy gradient here: what the shared code reads of it is at its defaults."""
        return Objective()

    @property
    def target_kl(self) -> None:
        """The policy never rests: `preference.beta` says how far a pair may move it."""


def fork(
    session: Session,
    policy: Policy,
    episodes: Sequence[Episode],
    turns: Turns,
    ways: int,
    ancestors: Sequence[Episode],
) -> list[Episode]:
    """Ways on from these episodes, as the search asks for them."""
    return session.branch(policy, episodes, turns, ways, ancestors=ancestors)


def search_metrics(trees: Sequence[Tree]) -> dict[str, float]:
    """How far the searches went: nodes per tree, and the deepest turn compared."""
    nodes = [node for tree in trees for node in tree.nodes()]
    return {
        "search/nodes": len(nodes) / len(trees),
        "search/depth_max": float(max((node.turn for node in nodes), default=0)),
    }


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
        "mcts_dpo",
        env,
        model,
        out,
        config,
        resume=resume,
        device=device,
        env_workers=env_workers,
        step_timeout=step_timeout,
    )
    fixed = fixed_reference(session.learner.model, model, config.preference)
    for iteration, generator in session.iterations():
        with session.phase("collect"), session.sampler(iteration) as policy:
            roots = session.collect(policy, generator.integers(2**31, size=config.tasks))
            trees = search_trees(roots, partial(fork, session, policy), config.search)
        with session.phase("credit"):
            compared, pairs = tree_pairs(trees, config.least_visits, config.margin)
            known, pairs = paired(compared or roots, pairs)
            experience = session.read(known)
            said = near(fixed, experience, config)
        with session.phase("update"):
            measured = update(
                session.learner, experience, pairs, said, config.preference, config, generator
            )
        session.log(iteration, experience, standing(known, pairs), measured | search_metrics(trees))
    return session.path
