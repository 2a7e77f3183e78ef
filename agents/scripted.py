"""Policies written by hand: random, expert, a noisy mixture, and a player that never turns back.

Each draws from a generator made of `conversation.seed`: batch width and order change nothing.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from lmenvs.core import TextEnv
from lmenvs.spaces import AnyText
from lmenvs.types import Action

from .protocols import Conversation, Policy

COMMANDS = "Commands: "
"""How a line starts that lists the commands which the player may give, separated by commas."""

_OPPOSITE = {"north": "south", "south": "north", "east": "west", "west": "east"}


def listed_commands(text: str) -> list[str]:
    """The commands on the last line of an observation that starts with `Commands: `, or none.

    >>> listed_commands("Commands: go east, take coin")
    ['go east', 'take coin']
    """
    for line in reversed(text.splitlines()):
        if line.startswith(COMMANDS):
            return [command.strip() for command in line.removeprefix(COMMANDS).split(",")]
    return []


class RandomPolicy:
    """Uniform over the legal actions.

    They are `env.admissible_actions()`; where the environment cannot list them, the observation's
    `Commands: ` line; where there is none, a random short string as `env.action_space.sample()`
    gives.
    """

    version = 0

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """One uniformly drawn action for each conversation."""
        return [Action(self._draw(conversation)) for conversation in conversations]

    def _draw(self, conversation: Conversation) -> str:
        generator = np.random.default_rng(conversation.seed)
        actions = conversation.env.admissible_actions() if conversation.env is not None else None
        actions = actions or listed_commands(conversation.messages[-1].content)
        if not actions:
            return AnyText(seed=generator).sample()
        return actions[int(generator.integers(len(actions)))]

    def forget(self, ids: Iterable[str]) -> None:
        """Nothing is kept."""


class ExpertPolicy:
    """The environment's own scripted expert, `env.expert_action()`."""

    version = 0

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """The expert's action for each conversation.

        Raises:
            ValueError: where a conversation has no live environment to ask.
        """
        return [Action(self._ask(conversation)) for conversation in conversations]

    def _ask(self, conversation: Conversation) -> str:
        if conversation.env is None:
            raise ValueError(
                "the expert asks the live environment, got a conversation without one; "
                "use agents.rollout, which provides it"
            )
        return conversation.env.expert_action()

    def forget(self, ids: Iterable[str]) -> None:
        """Nothing is kept."""


class PlayerPolicy:
    """A function of the live environment and a generator that says what to do.

    Args:
        player: For example those of `lmenvs.recipes.find_player`, which measure reference scores.
    """

    version = 0

    def __init__(self, player: Callable[[TextEnv, np.random.Generator], str]):
        self._player = player

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """What the function says of each conversation's environment.

        Raises:
            ValueError: where a conversation has no live environment.
        """
        return [Action(self._ask(conversation)) for conversation in conversations]

    def _ask(self, conversation: Conversation) -> str:
        if conversation.env is None:
            raise ValueError(
                "a scripted player looks at the live environment, got a conversation without one; "
                "use agents.rollout, which provides it"
            )
        return self._player(conversation.env, np.random.default_rng(conversation.seed))

    def forget(self, ids: Iterable[str]) -> None:
        """Nothing is kept."""


class NoisyPolicy:
    """`base`, except that with probability `noise` the action is a random legal one.

    Args:
        base: The policy that mostly acts.
        noise: The probability of a random action, in [0, 1].
    """

    def __init__(self, base: Policy, noise: float):
        if not 0 <= noise <= 1:
            raise ValueError(f"noise {noise}; expected a probability in [0, 1]")
        self._base = base
        self._noise = noise
        self._random = RandomPolicy()

    @property
    def version(self) -> int:
        """That of the base."""
        return self._base.version

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """One action each, of the base or at random."""
        noisy = [self._strikes(conversation) for conversation in conversations]
        pairs = list(zip(conversations, noisy, strict=True))
        of_base = iter(self._base.act([conversation for conversation, hit in pairs if not hit]))
        at_random = iter(self._random.act([conversation for conversation, hit in pairs if hit]))
        return [next(at_random if hit else of_base) for hit in noisy]

    def _strikes(self, conversation: Conversation) -> bool:
        # the appended 1 keeps this draw apart from those that the two policies make themselves
        return np.random.default_rng((*conversation.seed, 1)).random() < self._noise

    def forget(self, ids: Iterable[str]) -> None:
        """The base forgets them."""
        self._base.forget(ids)


class NeverGoBack:
    """An imperfect player of text worlds: takes the coin, else walks on, back only in a dead end.

    It reads nothing but the conversation: the line `Commands: ...` that TextWorld environments
    write with `admissible=True`, and its own last move. Its play is what a small model is cloned
    on: a script that knew the map would teach a student to guess what it cannot see.

    Args:
        noise: The probability of a uniformly random listed command instead, in [0, 1].
    """

    version = 0

    def __init__(self, noise: float = 0.0):
        if not 0 <= noise <= 1:
            raise ValueError(f"noise {noise}; expected a probability in [0, 1]")
        self._noise = noise

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """One listed command for each conversation.

        Raises:
            ValueError: where the observation lists no commands.
        """
        return [Action(self._choose(conversation)) for conversation in conversations]

    def _choose(self, conversation: Conversation) -> str:
        commands = listed_commands(conversation.messages[-1].content)
        if not commands:
            raise ValueError(
                f"never-go-back reads a line {COMMANDS!r} in the observation, got none; "
                "make the environment with admissible=true"
            )
        generator = np.random.default_rng(conversation.seed)
        if generator.random() < self._noise:
            return commands[int(generator.integers(len(commands)))]
        if "take coin" in commands:
            return "take coin"
        exits = [command for command in commands if command.startswith("go ")]
        onward = [command for command in exits if command != _way_back(conversation)]
        choices = onward or exits or commands
        return choices[int(generator.integers(len(choices)))]

    def forget(self, ids: Iterable[str]) -> None:
        """Nothing is kept."""


def _way_back(conversation: Conversation) -> str | None:
    """The command that undoes the last move, as far as the conversation tells."""
    messages = conversation.messages
    for index in range(len(messages) - 2, 0, -2):
        said, asked = messages[index].content, messages[index - 1].content
        # a move that was not on offer led nowhere
        if said.startswith("go ") and said in listed_commands(asked):
            back = _OPPOSITE.get(said.removeprefix("go "))
            return f"go {back}" if back is not None else None
    return None
