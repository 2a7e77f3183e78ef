"""Finite models of environments, explored on demand: states as they are, or as a player knows them.

`States` and `Beliefs` both offer `starts()`, `edges(node, turn)`, `key(node)` and `node(key)`;
`exact.solve` needs no more.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from .core import Snapshot, TextEnv

Edge = tuple[str, float, tuple[tuple[float, int, str], ...]]
"""(action, expected reward, ((probability, next node, text), ...)); those that end are left out."""
Row = tuple[tuple[float, int, str, float, bool], ...]
"""One action in one state: (probability, next state or -1, text, reward, ended)."""

MOST_STATES = 200_000  # (state, turn) pairs asked of the environment: about a minute
MOST_ROWS = 1_000_000  # (state, turn, action) triples: about a minute, and 2 GB
MOST_NODES = 2_000_000  # (belief, turn) pairs: about 2 GB


def check_sum(probabilities: Sequence[float], what: str) -> None:
    """Raise ValueError unless these are probabilities that sum to 1."""
    total = math.fsum(probabilities)
    if abs(total - 1.0) > 1e-6 or min(probabilities, default=0.0) < 0.0:
        raise ValueError(
            f"{what}: expected probabilities >= 0 that sum to 1, got {list(probabilities)[:8]} "
            f"with sum {total:g}"
        )


class States:
    """The environment's finite model, asked for on demand; nodes are state keys."""

    def __init__(self, env: TextEnv, stationary: bool):
        self._env = env
        self._stationary = stationary
        self.keys: list[str] = []
        self.index: dict[str, int] = {}
        self._snapshots: dict[tuple[int, int], Snapshot] = {}
        self._first_turn: dict[int, int] = {}
        self._actions: dict[tuple[int, int], tuple[str, ...]] = {}
        self._rows: dict[tuple[int, int, str], int] = {}
        self._row_ids: dict[Row, int] = {}
        self.rows: list[Row] = []
        self.start: list[tuple[float, int, str]] = []
        for probability, snapshot in env.start_states():
            self.start.append((probability, self._add(snapshot, 0), snapshot.observation))
        check_sum([p for p, _, _ in self.start], "start_states()")
        self._refuse_too_many_actions()

    def _add(self, snapshot: Snapshot, turn: int) -> int:
        self._env.restore(snapshot)
        key = self._env.state_key()
        state = self.index.setdefault(key, len(self.keys))
        if state == len(self.keys):
            self.keys.append(key)
            self._first_turn[state] = turn
        self._snapshots.setdefault((state, turn), snapshot)
        return state

    def _refuse_too_many_actions(self) -> None:
        """Say at once what would be found out after a minute: all starts get a row an action."""
        rows = 0
        for state in range(len(self.keys)):
            self._env.restore(self._snapshots[state, 0])
            rows += len(self._env.admissible_actions() or ())
            self._check_rows(rows)

    def _check_rows(self, rows: int) -> None:
        if rows > MOST_ROWS:
            raise ValueError(
                f"more than {MOST_ROWS} (state, turn, action) triples in "
                f"{type(self._env).__name__}; give a smaller horizon or a smaller environment"
            )

    def _snapshot(self, state: int, turn: int) -> Snapshot:
        found = self._snapshots.get((state, turn))
        if found is None:  # no play reaches this pair; the key is the state but for the turn number
            found = replace(self._snapshots[state, self._first_turn[state]], turn=turn)
        return found

    def actions(self, state: int, turn: int) -> tuple[str, ...]:
        """The admissible actions, after asking the environment for all their rows at once."""
        pair = (state, turn)
        if pair not in self._actions:
            if len(self._actions) >= MOST_STATES:
                raise ValueError(
                    f"more than {MOST_STATES} (state, turn) pairs in {type(self._env).__name__}; "
                    "give a smaller horizon or a smaller environment"
                )
            self._env.restore(self._snapshot(state, turn))
            actions = tuple(self._env.admissible_actions() or ())
            if not actions:
                raise ValueError(
                    f"{type(self._env).__name__}: admissible_actions() lists none in state "
                    f"{self.keys[state]!r}; exact values need at least one"
                )
            self._check_rows(len(self._rows) + len(actions))
            found = [(action, self._env.outcomes(action)) for action in actions]
            self._actions[pair] = actions
            for action, outcomes in found:
                self._rows[state, turn, action] = self._intern(outcomes, turn, action)
        return self._actions[pair]

    def row_id(self, state: int, turn: int, action: str) -> int:
        """The number of a row; equal rows have equal numbers."""
        found = self._rows.get((state, turn, action))
        if found is None:  # admissible elsewhere in the belief, not here
            self._env.restore(self._snapshot(state, turn))
            found = self._intern(self._env.outcomes(action), turn, action)
            self._rows[state, turn, action] = found
        return found

    def _intern(
        self, outcomes: list[tuple[float, Snapshot, float, bool]], turn: int, action: str
    ) -> int:
        check_sum([p for p, *_ in outcomes], f"outcomes({action!r})")
        after = 0 if self._stationary else turn + 1
        row = tuple(
            (p, -1 if over else self._add(snapshot, after), snapshot.observation, reward, over)
            for p, snapshot, reward, over in outcomes
        )
        number = self._row_ids.setdefault(row, len(self.rows))
        if number == len(self.rows):
            self.rows.append(row)
        return number

    def starts(self) -> list[tuple[float, int, str]]:
        """(probability, node, first text) of the start distribution."""
        return self.start

    def edges(self, node: int, turn: int) -> list[Edge]:
        """What each action does in a node."""
        edges: list[Edge] = []
        for action in self.actions(node, turn):
            row = self.rows[self.row_id(node, turn, action)]
            reward = sum(p * r for p, _, _, r, _ in row)
            edges.append((action, reward, tuple((p, s, text) for p, s, text, _, e in row if not e)))
        return edges

    def key(self, node: int) -> str:
        """The name of a node."""
        return self.keys[node]

    def node(self, key: str) -> int:
        """The node of a name."""
        if key not in self.index:
            raise ValueError(
                f"no state {key!r} is reachable; expected one of .start_states or after"
            )
        return self.index[key]


Belief = tuple[tuple[int, float], ...]
"""(state, probability) pairs in order of state."""


class Beliefs:
    """The same model as a player sees it; nodes are distributions over states."""

    def __init__(self, states: States):
        self._states = states
        self._beliefs: list[Belief] = []
        self._index: dict[Belief, int] = {}
        self._edges: dict[tuple[int, tuple[str, ...], tuple[int, ...]], list[Edge]] = {}

    def _add(self, weights: Mapping[int, float]) -> int:
        total = sum(weights.values())
        belief = tuple((state, weights[state] / total) for state in sorted(weights))
        # two ways of adding up the same belief differ in the last digits, and meet in one node
        node = self._index.setdefault(_rounded(belief), len(self._beliefs))
        if node == len(self._beliefs):
            self._beliefs.append(belief)
        return node

    def starts(self) -> list[tuple[float, int, str]]:
        """One belief for each first text."""
        seen: dict[str, dict[int, float]] = {}
        for probability, state, text in self._states.starts():
            weights = seen.setdefault(text, {})
            weights[state] = weights.get(state, 0.0) + probability
        return [(sum(weights.values()), self._add(weights), text) for text, weights in seen.items()]

    def edges(self, node: int, turn: int) -> list[Edge]:
        """What each action that is admissible somewhere in the belief does."""
        belief, states = self._beliefs[node], self._states
        first = states.actions(belief[0][0], turn)
        actions = dict.fromkeys(first)
        for state, _ in belief[1:]:
            actions.update(dict.fromkeys(states.actions(state, turn)))
        rows = tuple(
            states.row_id(state, turn, action) for action in actions for state, _ in belief
        )
        # at most turns every row is the one of the turn before: the edges are too
        signature = (node, tuple(actions), rows)
        if signature not in self._edges:
            if len(self._edges) >= MOST_NODES:
                raise ValueError(f"more than {MOST_NODES} beliefs; give a smaller horizon")
            width = len(belief)
            self._edges[signature] = [
                self._edge(action, belief, rows[i * width : (i + 1) * width])
                for i, action in enumerate(actions)
            ]
        return self._edges[signature]

    def _edge(self, action: str, belief: Belief, row_ids: tuple[int, ...]) -> Edge:
        expected = 0.0
        seen: dict[str, dict[int, float]] = {}
        for (_, weight), number in zip(belief, row_ids, strict=True):
            for probability, after, text, reward, over in self._states.rows[number]:
                expected += weight * probability * reward
                if not over and probability > 0.0:
                    weights = seen.setdefault(text, {})
                    weights[after] = weights.get(after, 0.0) + weight * probability
        return (
            action,
            expected,
            tuple((sum(w.values()), self._add(w), text) for text, w in seen.items()),
        )

    def key(self, node: int) -> str:
        """The belief as a JSON object from state key to probability, in sorted order."""
        named = {self._states.keys[state]: p for state, p in _rounded(self._beliefs[node])}
        return json.dumps(named, sort_keys=True)

    def node(self, key: str) -> int:
        """The node of a belief written as JSON; any distribution over reachable states will do."""
        try:
            raw = json.loads(key)
            weights = {self._states.node(name): float(p) for name, p in raw.items()}
        except (json.JSONDecodeError, AttributeError, TypeError) as error:
            raise ValueError(
                f"expected a belief key, a JSON object {{state key: probability}}, got {key!r}"
            ) from error
        check_sum(list(weights.values()), f"belief {key}")
        found = self._index.get(_rounded(tuple(sorted(weights.items()))))
        return found if found is not None else self._add(_positive(weights))


def _rounded(belief: Belief) -> Belief:
    return tuple((state, round(probability, 12)) for state, probability in belief)


def _positive(weights: Mapping[int, float]) -> dict[int, float]:
    return {state: weight for state, weight in weights.items() if weight > 0.0}
