"""Bandit algorithms as policies: UCB, Thompson sampling, greedy, epsilon-greedy, LinUCB, uniform.

`make_policy("bandit:ucb?alpha=0.5")` makes one. They read the conversation, and nothing else: the
arms in the first observation, what each pull paid, the numbers of the visitor who waits. What they
draw comes from `conversation.seed`. UCB and greedy try every arm once first. Alpha 0.5 and the
prior Beta(1, 1) are EVOLvE's (Nie et al., 2024). Other than in its package, `greedy` adds no bonus
to the means (there it is UCB by mistake), and LinUCB expects `middle` of an arm that was never
pulled (there 0, which suits no star ratings).
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from lmenvs.arguments import check_choice, check_number
from lmenvs.envs.bandit.arms import EXPLORATION, upper_confidence_index
from lmenvs.envs.bandit.linear import RidgeArms
from lmenvs.envs.bandit.reading import read_arms, read_features, read_pull
from lmenvs.types import Action, Message

from .protocols import Conversation

LARGEST = 10_000.0  # of what a posterior is made from


class History:
    """What a conversation tells about the arms.

    Attributes:
        arms: Their names, in order.
        pulls: How often each was pulled.
        sums: What each has paid.
        binary: Every reward so far was 0 or 1.
        features: The numbers of the visitor who waits, or None.
    """

    def __init__(self, opening: str):
        self.arms = read_arms(opening)
        if not self.arms:
            raise ValueError(
                "a bandit policy reads the list of arms in the first observation, got "
                f"{opening[:60]!r}; play it in an environment tagged `bandit`"
            )
        self.pulls = [0] * len(self.arms)
        self.sums = [0.0] * len(self.arms)
        self.binary = True
        self.features = read_features(opening)
        self._served: list[tuple[int, tuple[float, ...], float]] = []
        self._model: RidgeArms | None = None

    def take(self, observation: str) -> None:
        """Take in the answer to a pull."""
        pull = read_pull(observation, self.arms)
        if pull is None:
            return
        arm, reward = pull
        self.pulls[arm] += 1
        self.sums[arm] += reward
        self.binary = self.binary and reward in (0.0, 1.0)
        if self.features is not None:
            self._served.append((arm, self.features, reward))
            self.features = read_features(observation) or self.features

    def model(self, middle: float) -> RidgeArms:
        """LinUCB's model of all pulls; the first call says what untried arms are expected to pay.

        Raises:
            ValueError: where no visitor has numbers.
        """
        if self.features is None:
            raise ValueError(
                "bandit:linucb reads a line `Visitor: ...` in the observation, got none; "
                "use bandit:ucb where there is no context"
            )
        if self._model is None:
            self._model = RidgeArms(len(self.arms), len(self.features), middle)
        for arm, features, reward in self._served:
            self._model.update(arm, np.array(features), reward)
        self._served = []
        return self._model


class Rule(Protocol):
    """How an algorithm chooses."""

    def choose(self, history: History, generator: np.random.Generator) -> int:
        """The index of the arm to pull."""
        ...


def first_untried(history: History) -> int | None:
    """The first arm that was never pulled, or None."""
    return history.pulls.index(0) if 0 in history.pulls else None


@dataclass(frozen=True, slots=True)
class UCB:
    """The largest mean + sqrt(alpha ln t / n), each arm once first (Auer et al., 2002).

    The alpha of UCB1 is 2. Where alpha stands in front of the root, give its square.
    """

    alpha: float = EXPLORATION

    def __post_init__(self) -> None:
        """Refuse what is no weight."""
        check_number("alpha", self.alpha, 0)

    def choose(self, history: History, generator: np.random.Generator) -> int:
        """The first among equals."""
        turn = sum(history.pulls)
        indices = [
            upper_confidence_index(pulls, total, turn, self.alpha)
            for pulls, total in zip(history.pulls, history.sums, strict=True)
        ]
        return indices.index(max(indices))


@dataclass(frozen=True, slots=True)
class Greedy:
    """The largest mean, each arm once first."""

    def choose(self, history: History, generator: np.random.Generator) -> int:
        """The first among equals."""
        untried = first_untried(history)
        if untried is not None:
            return untried
        means = [total / n for n, total in zip(history.pulls, history.sums, strict=True)]
        return means.index(max(means))


@dataclass(frozen=True, slots=True)
class EpsilonGreedy:
    """Greedy, except that with probability epsilon any arm is pulled."""

    epsilon: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        check_number("epsilon", self.epsilon, 0, 1)

    def choose(self, history: History, generator: np.random.Generator) -> int:
        """Greedy or uniform."""
        if generator.random() < self.epsilon:
            return int(generator.integers(len(history.arms)))
        return Greedy().choose(history, generator)


@dataclass(frozen=True, slots=True)
class Thompson:
    """The arm whose mean is largest in one draw from the posterior (Thompson, 1933).

    Attributes:
        model: "beta": rewards are 0 or 1, the prior of a mean is uniform. "gaussian": rewards have
            deviation `sigma`, the prior is normal. "auto": beta until a reward is neither 0 nor 1.
            The defaults suit `GaussianBandit-v0`; with `spread=3&sigma=3` there, take
            `model=gaussian&sigma=3&mean=0&deviation=3`.
        sigma: The deviation of the rewards.
        mean: The prior's mean.
        deviation: The prior's deviation.
    """

    model: Literal["auto", "beta", "gaussian"] = "auto"
    sigma: float = 1 / 3
    mean: float = 0.5
    deviation: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what makes no posterior."""
        check_choice("model", self.model, ("auto", "beta", "gaussian"))
        check_number("sigma", self.sigma, 1 / LARGEST, LARGEST)
        check_number("mean", self.mean, -LARGEST, LARGEST)
        check_number("deviation", self.deviation, 1 / LARGEST, LARGEST)

    def beta(self, history: History) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The posterior of each mean: 1 + rewards, 1 + misses."""
        wins, pulls = np.array(history.sums), np.array(history.pulls)
        return 1.0 + wins, 1.0 + pulls - wins

    def gaussian(self, history: History) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The posterior of each mean: its mean and deviation."""
        noise, prior = self.sigma**-2, self.deviation**-2
        precision = prior + noise * np.array(history.pulls)
        means = (prior * self.mean + noise * np.array(history.sums)) / precision
        return means, precision**-0.5

    def choose(self, history: History, generator: np.random.Generator) -> int:
        """The largest of one draw for each arm."""
        if self.model == "beta" and not history.binary:
            raise ValueError(
                "bandit:thompson?model=beta needs rewards of 0 and 1, got others; "
                "use model=gaussian"
            )
        if self.model == "gaussian" or not history.binary:
            return int(generator.normal(*self.gaussian(history)).argmax())
        return int(generator.beta(*self.beta(history)).argmax())


@dataclass(frozen=True, slots=True)
class LinUCB:
    """The largest value + alpha sqrt(x' A^-1 x) for the visitor's numbers x (Li et al., 2010)."""

    alpha: float = EXPLORATION
    middle: float = 2.5

    def __post_init__(self) -> None:
        """Refuse what is no weight or no reward."""
        check_number("alpha", self.alpha, 0)
        check_number("middle", self.middle)

    def choose(self, history: History, generator: np.random.Generator) -> int:
        """The first among equals."""
        model = history.model(self.middle)
        return int(model.indices(np.array(history.features), self.alpha).argmax())


@dataclass(frozen=True, slots=True)
class Uniform:
    """Any arm, all equally likely."""

    def choose(self, history: History, generator: np.random.Generator) -> int:
        """One draw."""
        return int(generator.integers(len(history.arms)))


RULES: Mapping[str, type[Rule]] = {
    "ucb": UCB,
    "thompson": Thompson,
    "greedy": Greedy,
    "epsilon-greedy": EpsilonGreedy,
    "linucb": LinUCB,
    "uniform": Uniform,
}


class BanditPolicy:
    """A rule, and what the conversations that are alive have told so far.

    Args:
        rule: How to choose.
    """

    version = 0

    def __init__(self, rule: Rule):
        self._rule = rule
        self._known: dict[str, tuple[History, int, Message]] = {}

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """The name of one arm for each conversation."""
        return [Action(self._choose(conversation)) for conversation in conversations]

    def _choose(self, conversation: Conversation) -> str:
        history = self._read(conversation)
        generator = np.random.default_rng(conversation.seed)
        return history.arms[self._rule.choose(history, generator)]

    def _read(self, conversation: Conversation) -> History:
        messages = conversation.messages
        known = self._known.get(conversation.id)
        # an id that now stands for other messages is read from the start
        if known is not None and len(messages) >= known[1] and messages[known[1] - 1] is known[2]:
            history, begin, _ = known
        else:
            begin = next(i for i, said in enumerate(messages) if said.role == "user") + 1
            history = History(messages[begin - 1].content)
        for message in messages[begin:]:
            if message.role == "user":
                history.take(message.content)
        self._known[conversation.id] = history, len(messages), messages[-1]
        return history

    def forget(self, ids: Iterable[str]) -> None:
        """Drop what these conversations have told."""
        for name in ids:
            self._known.pop(name, None)


def bandit_policy(name: str, options: Mapping[str, Any]) -> BanditPolicy:
    """The policy that `bandit:NAME` means.

    Raises:
        ValueError: for a name that is none of `RULES`, or an option that the rule does not have
            or cannot take.
    """
    if name not in RULES:
        known = ", bandit:".join(RULES)
        raise ValueError(f"policy 'bandit:{name}'; expected one of bandit:{known}")
    rule = RULES[name]
    taken = list(inspect.signature(rule).parameters)
    if unknown := [option for option in options if option not in taken]:
        known = ", ".join(taken) or "none"
        raise ValueError(f"policy 'bandit:{name}' has no option {unknown[0]!r}; expected {known}")
    try:
        return BanditPolicy(rule(**options))
    except ValueError as error:
        raise ValueError(f"policy 'bandit:{name}': {error}") from error
