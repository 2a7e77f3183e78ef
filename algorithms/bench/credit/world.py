"""A finite environment and one policy as arrays: fast to play, and its values exactly known.

A situation is a state at a turn; I counts them, S states, A the actions of all states (`words`), O
the options, which are the actions of all situations end to end, and N in options' outcomes.

The policy is neither good nor uniform: its chances are the softmax of `sharpness` times the optimal
values of the actions (the mean over the turns at which the state can be met), and the sharpness is
the one whose return lies half way between uniform and optimal play, or as near as it comes. The
policy sees the state, also what a player could not see.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lmenvs import make
from lmenvs.core import TextEnv
from lmenvs.model import States

from .words import Floats, Indices, Words, ranges, spelled, weighted_scores

MOST_SITUATIONS = 60_000  # beyond that the arrays take longer to make than to use
HALF_WAY = 0.5
LEAST_LOGIT = 30.0  # every action keeps a chance, so that the tries stay whole
SHARPEST = 200.0  # where even that is too blunt to come half way, it is taken
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Model:
    """What can happen, whatever the policy.

    Attributes:
        words: The states' actions.
        states: [I] the state of each situation; situations are sorted by turn.
        turns: [I] its turn.
        first_option: Where each situation's options begin, and the end.
        first_outcome: Where each option's outcomes begin, and the end.
        outcome_chances: [N] the chance of each outcome of an option.
        rewards: [N] what it pays.
        targets: [N] the situation that follows, -1 at the end of the episode.
        texts: [N] the words of the text it shows.
        starts: The situations in which an episode can begin.
        start_chances: Their chances.
        start_texts: The words of the first text of each.
        keys: The states' names.
    """

    words: Words
    states: Indices
    turns: Indices
    first_option: Indices
    first_outcome: Indices
    outcome_chances: Floats
    rewards: Floats
    targets: Indices
    texts: Indices
    starts: Indices
    start_chances: Floats
    start_texts: Indices
    keys: tuple[str, ...]

    @property
    def situation_of_option(self) -> Indices:
        """[O] the situation to which each option belongs."""
        return np.repeat(np.arange(len(self.states)), np.diff(self.first_option))

    @property
    def action_of_option(self) -> Indices:
        """[O] the action, as `words` counts them."""
        return ranges(self.words.first_action[self.states], np.diff(self.first_option))

    def values(self, chances_O: Floats | None) -> tuple[Floats, Floats]:
        """([I] value of each situation, [O] of each option); None plays optimally."""
        values, q = np.zeros(len(self.states)), np.zeros(len(self.first_outcome) - 1)
        edges = np.searchsorted(self.turns, np.arange(self.turns[-1] + 2))
        for first, last in reversed(
            list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
        ):
            here = slice(self.first_option[first], self.first_option[last])
            ends = self.first_outcome[here.start : here.stop + 1]
            out = slice(ends[0], ends[-1])
            targets = self.targets[out]
            after = np.where(targets < 0, 0.0, values[targets])
            worth = self.outcome_chances[out] * (self.rewards[out] + after)
            q[here] = np.add.reduceat(worth, ends[:-1] - ends[0])
            firsts = self.first_option[first:last] - here.start
            values[first:last] = (
                np.maximum.reduceat(q[here], firsts)
                if chances_O is None
                else np.add.reduceat(chances_O[here] * q[here], firsts)
            )
        return values, q

    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest return that can happen."""
        ends = np.searchsorted(self.turns, np.arange(self.turns[-1] + 2))
        lowest, highest = np.zeros((2, len(self.states)))
        for first, last in reversed(list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))):
            edges = self.first_outcome[self.first_option[first : last + 1]]
            out = slice(edges[0], edges[-1])
            targets, rewards = self.targets[out], self.rewards[out]
            for values, reduced in ((lowest, np.minimum), (highest, np.maximum)):
                after = rewards + np.where(targets < 0, 0.0, values[targets])
                values[first:last] = reduced.reduceat(after, edges[:-1] - edges[0])
        return float(lowest[self.starts].min()), float(highest[self.starts].max())

    def start_value(self, values_I: Floats) -> float:
        """The mean over the starts."""
        return float(self.start_chances @ values_I[self.starts])


class World:
    """A model with a policy: what can be sampled, and what is true of it.

    Args:
        model: The environment.
        chances_A: The policy's chance of each action.
        bounds: The lowest and the highest return, where the model does not tell.
    """

    def __init__(self, model: Model, chances_A: Floats, bounds: tuple[float, float] | None = None):
        self.model, self.words = model, model.words
        self.bounds = model.bounds() if bounds is None else bounds
        self.actions_O, self.situations_O = model.action_of_option, model.situation_of_option
        self.chances_O = chances_A[self.actions_O]
        self.chances_P = model.words.chances(chances_A)
        self.values_I, self.q_O = model.values(self.chances_O)
        self.advantages_O = self.q_O - self.values_I[self.situations_O]

    @cached_property
    def visits_I(self) -> Floats:
        """How often an episode comes to each situation, on average."""
        model, visits = self.model, np.zeros(len(self.model.states))
        np.add.at(visits, model.starts, model.start_chances)
        origins = np.repeat(self.situations_O, np.diff(model.first_outcome))
        chances = np.repeat(self.chances_O, np.diff(model.first_outcome)) * model.outcome_chances
        edges = np.searchsorted(model.turns[origins], np.arange(model.turns[-1] + 2))
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            targets, flow = model.targets[first:last], visits[origins[first:last]]
            goes_on = targets >= 0
            np.add.at(visits, targets[goes_on], (flow * chances[first:last])[goes_on])
        return visits

    @property
    def turns_per_episode(self) -> float:
        """The mean."""
        return float(self.visits_I.sum())

    @cached_property
    def true_gradient(self) -> Floats:
        """[P] the gradient of the mean return: sum of visits * chance * advantage * score."""
        lengths = self.words.lengths[self.actions_O]
        weights = self.visits_I[self.situations_O] * self.chances_O * self.advantages_O
        return self.gradient(self.actions_O, np.repeat(weights, lengths))

    def gradient(self, actions: Indices, weights: Floats) -> Floats:
        """[P] the sum of weight * score over the words of these actions, one weight a word."""
        return weighted_scores(self.words, self.chances_P, self.words_of(actions), weights)

    def words_of(self, actions: Indices) -> Indices:
        """The entries of the words of these actions, end to end."""
        words = self.words
        return words.entries[ranges(words.first_word[actions], words.lengths[actions])]

    @cached_property
    def _first_value(self) -> Indices:
        rows_I = np.diff(self.words.first_row)[self.model.states]
        return np.concatenate(([0], np.cumsum(rows_I)))

    @cached_property
    def _word_values(self) -> Floats:
        """The value of every prefix in every situation: the mean of the actions it can become."""
        lengths = self.words.lengths[self.actions_O]
        places = self._places(self.situations_O, self.actions_O)
        chances = np.repeat(self.chances_O, lengths)
        totals = np.bincount(places, chances * np.repeat(self.q_O, lengths))
        return totals / np.bincount(places, chances)

    def _places(self, situations: Indices, actions: Indices) -> Indices:
        rows = self.words.rows[self.words_of(actions)]
        shifts = self._first_value[situations] - self.words.first_row[self.model.states[situations]]
        return rows + np.repeat(shifts, self.words.lengths[actions])

    def word_values(self, options: Indices) -> Floats:
        """The exact value before every word of these options, end to end."""
        return self._word_values[self._places(self.situations_O[options], self.actions_O[options])]

    def word_advantages(self, options: Indices) -> Floats:
        """What every word of these options adds to the value, end to end."""
        before, lengths = self.word_values(options), self.words.lengths[self.actions_O[options]]
        after = np.append(before[1:], 0.0)
        after[np.cumsum(lengths) - 1] = self.q_O[options]
        return after - before


def build(env: str, most: int = MOST_SITUATIONS) -> Model:
    """The model of an environment.

    Raises:
        ValueError: if it has none, or more situations than `most`.
    """
    made = make(env).unwrapped
    if not isinstance(made, TextEnv) or made.turn_limit is None:
        raise ValueError(f"{env}: expected an environment of this project with a turn limit")
    states = States(copy.deepcopy(made), stationary=False)
    layer = dict.fromkeys(node for _, node, _ in states.start)
    place = {node: index for index, node in enumerate(layer)}
    starts = [place[node] for _, node, _ in states.start]
    found, actions_S = _Found(), dict[int, tuple[str, ...]]()
    for turn in range(made.turn_limit):
        base, following = len(found.states) + len(layer), dict[int, int]()
        for node in layer:
            actions = states.actions(node, turn)
            if actions_S.setdefault(node, actions) != actions:
                raise ValueError(
                    f"{env}: state {states.key(node)!r} admits other actions at turn {turn} than "
                    "before; expected a key that tells them apart"
                )
            found.states.append(node)
            found.turns.append(turn)
            found.options.append(found.options[-1] + len(actions))
            for action in actions:
                row = states.rows[states.row_id(node, turn, action)]
                for chance, after, text, reward, over in row:
                    target = -1
                    if not over and turn + 1 < made.turn_limit:
                        target = base + following.setdefault(after, len(following))
                    found.flat.append((chance, reward, target, len(text.split())))
                found.outcomes.append(len(found.flat))
        layer = dict.fromkeys(following)
        if base > most:
            raise ValueError(f"{env}: more than {most} situations; give a smaller environment")
    return found.model(states, starts, actions_S)


def half_way(model: Model) -> tuple[Floats, float]:
    """([A] the chances of the policy described above, its sharpness)."""
    _, best_O = model.values(None)
    actions_O = model.action_of_option
    best_A = np.bincount(actions_O, best_O) / np.bincount(actions_O)
    states_A = np.repeat(
        np.arange(len(model.words.first_action) - 1), np.diff(model.words.first_action)
    )

    def chances(sharpness: float) -> Floats:
        logits = sharpness * best_A
        logits = logits - np.maximum.reduceat(logits, model.words.first_action[:-1])[states_A]
        weights = np.exp(np.maximum(logits, -LEAST_LOGIT))
        return weights / np.bincount(states_A, weights)[states_A]

    def worth(sharpness: float) -> float:
        return model.start_value(model.values(chances(sharpness)[actions_O])[0])

    best = model.start_value(model.values(None)[0])
    goal = worth(0.0) + HALF_WAY * (best - worth(0.0))
    low, high = 0.0, 1.0 / max(1e-9, float(np.ptp(best_A)))
    while worth(high) < goal and high * float(np.ptp(best_A)) < SHARPEST:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if worth(middle) < goal else (low, middle)
    return chances(high), high


@dataclass(slots=True)
class _Found:
    states: list[int] = field(default_factory=list[int])
    turns: list[int] = field(default_factory=list[int])
    options: list[int] = field(default_factory=lambda: [0])
    outcomes: list[int] = field(default_factory=lambda: [0])
    flat: list[tuple[float, float, int, int]] = field(
        default_factory=list[tuple[float, float, int, int]]
    )

    def model(
        self, states: States, starts: Sequence[int], actions_S: dict[int, tuple[str, ...]]
    ) -> Model:
        number = {node: index for index, node in enumerate(actions_S)}
        chances, rewards, targets, texts = zip(*self.flat, strict=True)
        return Model(
            words=spelled(list(actions_S.values())),
            states=np.array([number[node] for node in self.states], dtype=np.intp),
            turns=np.array(self.turns, dtype=np.intp),
            first_option=np.array(self.options, dtype=np.intp),
            first_outcome=np.array(self.outcomes, dtype=np.intp),
            outcome_chances=np.array(chances),
            rewards=np.array(rewards, dtype=np.float64),
            targets=np.array(targets, dtype=np.intp),
            texts=np.array(texts, dtype=np.intp),
            starts=np.array(starts, dtype=np.intp),
            start_chances=np.array([p for p, _, _ in states.start]),
            start_texts=np.array([len(text.split()) for _, _, text in states.start], dtype=np.intp),
            keys=tuple(states.key(node) for node in actions_S),
        )
