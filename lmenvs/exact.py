"""Exact values of finite environments: optimal, uniform or given policies, for a seer or a player.

Backward induction over (state, turn): with t turns taken and at most `horizon` allowed,

    Q_t(s, a) = E[reward] + discount * E[V_{t+1}(s')]
    V_t(s) = max_a Q_t(s, a), or sum_a pi(a|s) Q_t(s, a) for a given policy pi

V = 0 after termination and at the horizon. With `information="observation"` a state is a belief:
what a player can know from the texts so far, by Bayes' rule over the text after each action and the
fact that the episode goes on. Rewards are not seen, save through the text.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import gymnasium
import numpy as np

from .core import TextEnv
from .model import Beliefs, Edge, States, check_sum
from .registration import make

Probabilities = Sequence[float] | Mapping[str, float]
Policy = Literal["optimal", "uniform"] | Callable[[str, list[str]], Probabilities]
MOST_SWEEPS = 200_000


@dataclass(frozen=True, slots=True)
class _Node:
    """A solved node: its value and the value of each action."""

    value: float
    q: dict[str, float]


class Solution:
    """Exact values; made by `solve`.

    In state mode a key is what `env.state_key()` returns. In observation mode it is a belief: a
    JSON object from state key to probability; `start_states` lists the first ones, and
    `belief(history)` finds the others.

    Attributes:
        discount: As given.
        horizon: The turns after which nothing counts, or None for stationary values.
        start_states: Key -> probability. In observation mode one belief for each first text.
    """

    def __init__(
        self,
        graph: States | Beliefs,
        discount: float,
        horizon: int | None,
        policy: Policy,
    ):
        self._graph = graph
        self._policy = policy
        self._choices: dict[tuple[int, tuple[str, ...]], list[float]] = {}
        self._solved: dict[int, dict[int, _Node]] = {}
        self.discount = discount
        self.horizon = horizon
        self._starts = graph.starts()
        self.start_states: dict[str, float] = {}
        for probability, node, _ in self._starts:
            key = graph.key(node)
            self.start_states[key] = self.start_states.get(key, 0.0) + probability
        self._find(0, [node for _, node, _ in self._starts])

    @property
    def start_value(self) -> float:
        """The mean value over the start distribution."""
        return float(sum(p * self.value(key) for key, p in self.start_states.items()))

    def value(self, key: str, t: int = 0) -> float:
        """The value to go with t turns already taken, discounted from t."""
        node = self._graph.node(key)
        return 0.0 if self._spent(t) else self._at(node, t).value

    def q(self, key: str, action: str, t: int = 0) -> float:
        """The value of an admissible action after t turns, with the policy thereafter."""
        known = self._at(self._graph.node(key), t).q if not self._spent(t) else {}
        if action not in known:
            raise ValueError(
                f"expected an action that is admissible in {key!r} at turn {t}, "
                f"one of {sorted(known)}, got {action!r}"
            )
        return known[action]

    def advantage(self, key: str, action: str, t: int = 0) -> float:
        """`q - value`: what the action gains over the policy's own choice."""
        return self.q(key, action, t) - self.value(key, t)

    def keys(self, t: int = 0) -> list[str]:
        """The keys that play can reach with t turns taken (all of them for stationary values)."""
        return [self._graph.key(node) for node in self._solved.get(self._time(t), {})]

    def actions(self, key: str, t: int = 0) -> list[str]:
        """The actions that have a value here, in the environment's order; none at the horizon."""
        node = self._graph.node(key)
        return [] if self._spent(t) else list(self._at(node, t).q)

    def belief(self, history: Sequence[str]) -> str:
        """The belief key after (first text, action, text, ...); observation mode only.

        Raises:
            ValueError: in state mode, or for a history that cannot happen.
        """
        if not isinstance(self._graph, Beliefs):
            raise ValueError("belief() needs solve(..., information='observation')")
        if len(history) % 2 == 0:
            raise ValueError("expected (first text, action, text, ...), so an odd number of texts")
        reached = [node for _, node, text in self._starts if text == history[0]]
        for turn, (action, text) in enumerate(zip(history[1::2], history[2::2], strict=True)):
            nodes, reached = reached, []
            for edge_action, _, after in (
                self._graph.edges(nodes[0], self._time(turn)) if nodes else []
            ):
                if edge_action == action:
                    reached = [node for _, node, seen in after if seen == text]
        if not reached:
            raise ValueError("this history has probability 0 or has ended; no belief follows it")
        return self._graph.key(reached[0])

    # ---- backward induction -----------------------------------------------------------------

    def _time(self, turn: int) -> int:
        return 0 if self.horizon is None else turn

    def _spent(self, turn: int) -> bool:
        if turn < 0:
            raise ValueError(f"t={turn}; expected the number of turns already taken, >= 0")
        return self.horizon is not None and turn >= self.horizon

    def _at(self, node: int, turn: int) -> _Node:
        turn = self._time(turn)
        if node not in self._solved.get(turn, {}):
            self._find(turn, [node])
        return self._solved[turn][node]

    def _find(self, turn: int, nodes: Iterable[int]) -> None:
        """Solve these nodes at this turn, and all that follow them."""
        if self.horizon is None:
            self._find_stationary(nodes)
            return
        layers: list[dict[int, list[Edge]]] = []
        wanted = set(nodes)
        for time in range(turn, self.horizon):
            known = self._solved.setdefault(time, {})
            layer = {node: self._graph.edges(node, time) for node in sorted(wanted - known.keys())}
            layers.append(layer)
            wanted = {n for edges in layer.values() for _, _, after in edges for _, n, _ in after}
        for time in range(turn + len(layers) - 1, turn - 1, -1):
            later = self._solved.get(time + 1, {})
            for node, edges in layers[time - turn].items():
                q = {
                    action: reward
                    + self.discount * sum(p * later[n].value if later else 0.0 for p, n, _ in after)
                    for action, reward, after in edges
                }
                self._solved[time][node] = _Node(self._backup(node, q), q)

    def _backup(self, node: int, q: dict[str, float]) -> float:
        if self._policy == "optimal":
            return max(q.values())
        chances = self._chances(node, tuple(q))
        return float(sum(p * value for p, value in zip(chances, q.values(), strict=True)))

    def _chances(self, node: int, actions: tuple[str, ...]) -> list[float]:
        if self._policy == "uniform":
            return [1.0 / len(actions)] * len(actions)
        if (node, actions) not in self._choices:
            policy = cast("Callable[[str, list[str]], Probabilities]", self._policy)
            key = self._graph.key(node)
            given = policy(key, list(actions))
            self._choices[node, actions] = _aligned(given, actions, key)
        return self._choices[node, actions]

    def _find_stationary(self, nodes: Iterable[int]) -> None:
        """Value iteration over all nodes that follow, until nothing changes any more."""
        edges: dict[int, list[Edge]] = {}
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if node not in edges:
                edges[node] = self._graph.edges(node, 0)
                waiting += [n for _, _, after in edges[node] for _, n, _ in after]
        place = {node: i for i, node in enumerate(edges)}
        flat = [edge for node in edges for edge in edges[node]]
        links = [(i, place[n], p) for i, (_, _, after) in enumerate(flat) for p, n, _ in after]
        edge_of, target = (np.array([link[i] for link in links], dtype=np.int64) for i in (0, 1))
        weight = self.discount * np.array([p for _, _, p in links], dtype=np.float64)
        reward = np.array([r for _, r, _ in flat])
        firsts = np.cumsum([0, *[len(edges[node]) for node in edges][:-1]])
        best = self._policy == "optimal"
        chance = np.array(
            [p for node in edges for p in self._chances(node, tuple(a for a, _, _ in edges[node]))]
            if not best
            else []
        )
        values, q, change = np.zeros(len(edges)), reward, 0.0
        for _ in range(MOST_SWEEPS):
            q = reward + np.bincount(edge_of, weight * values[target], minlength=len(flat))
            new = np.maximum.reduceat(q, firsts) if best else np.add.reduceat(chance * q, firsts)
            change, values = float(np.abs(new - values).max()), new
            if change <= 1e-14 * max(1.0, float(np.abs(values).max())):
                break
        else:
            raise ValueError(
                f"values still move by {change:g} after {MOST_SWEEPS} sweeps; "
                "give a discount below 1 or a horizon"
            )
        at = 0
        for node, value in zip(edges, values, strict=True):
            named = {a: float(q[at + i]) for i, (a, _, _) in enumerate(edges[node])}
            self._solved.setdefault(0, {})[node] = _Node(float(value), named)
            at += len(named)


def _aligned(given: Probabilities, actions: tuple[str, ...], key: str) -> list[float]:
    if isinstance(given, Mapping):
        unknown = sorted(set(given) - set(actions))
        if unknown:
            raise ValueError(f"policy in {key!r}: {unknown} not among the actions {list(actions)}")
        chances = [float(given.get(action, 0.0)) for action in actions]
    else:
        chances = [float(p) for p in given]
        if len(chances) != len(actions):
            raise ValueError(
                f"policy in {key!r}: {len(chances)} probabilities for {len(actions)} actions; "
                "expected one each, or a dict"
            )
    check_sum(chances, f"policy in {key!r}")
    return chances


def solve(
    env: gymnasium.Env[str, str] | str,
    discount: float = 1.0,
    horizon: int | None = None,
    policy: Policy = "optimal",
    information: Literal["state", "observation"] = "state",
) -> Solution:
    """Solve an environment that has an exact model; the environment that is passed does not move.

    The tag `exact` says which ones have a model with default arguments; where games are drawn from
    a large pool, a small one (`games=1`) has a model too.

    Args:
        env: The environment, wrapped or not, or the string that names it.
        discount: In [0, 1], per turn.
        horizon: Turns after which nothing counts; None is the environment's `turn_limit`, and
            stationary values where it has none.
        policy: "optimal", "uniform" over `admissible_actions()`, or `policy(key, actions)`, which
            returns probabilities in the order of the actions, or a dict from action to probability.
        information: "state" for one who sees everything, "observation" for a player, who knows the
            texts only and may use every action that is admissible somewhere in the belief.

    Raises:
        NoExactModel: for an environment without an exact model; the line says what to change.
        ValueError: for arguments out of range, and for models too large to explore.
        TypeError: for what is no `TextEnv`.
    """
    unwrapped = make(env) if isinstance(env, str) else env.unwrapped
    if not isinstance(unwrapped, TextEnv):
        raise TypeError(f"expected a TextEnv, got {type(unwrapped).__name__}")
    if not 0.0 <= discount <= 1.0:
        raise ValueError(f"discount={discount!r}; expected a number in [0, 1]")
    if horizon is not None and horizon < 0:
        raise ValueError(f"horizon={horizon!r}; expected a number of turns >= 0, or None")
    if not callable(policy) and policy not in ("optimal", "uniform"):
        raise ValueError(f"policy={policy!r}; expected 'optimal', 'uniform' or a function")
    if information not in ("state", "observation"):
        raise ValueError(f"information={information!r}; expected 'state' or 'observation'")
    limits = [limit for limit in (horizon, unwrapped.turn_limit) if limit is not None]
    states = States(copy.deepcopy(unwrapped), stationary=not limits)
    graph = states if information == "state" else Beliefs(states)
    return Solution(graph, float(discount), min(limits, default=None), policy)
