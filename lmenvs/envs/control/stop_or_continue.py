"""StopOrContinue: the player decides how long the episode is, and going on is always better."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from lmenvs.arguments import check_count
from lmenvs.core import OnInvalid, Outcome, Snapshot, TextEnv
from lmenvs.decoration import bare

# halves and quarters, so that sums of rewards are exact
STOP_REWARD = 0.5
CONTINUE_REWARD = 0.25
LAST_REWARD = 1.0
MOST_TURNS = 1000

STOP = "stop"
CONTINUE = "continue"
ACTIONS = (STOP, CONTINUE)
_WASTED = "That is neither stop nor continue: the turn is lost."
_OVER = "The game is over."


def parse_action(text: str) -> str | None:
    """`stop` or `continue`, however decorated (`decoration.bare`), or None.

    >>> parse_action(" Stop. "), parse_action("stop it")
    ('stop', None)
    """
    word = bare(text)
    return word if word in ACTIONS else None


class StopOrContinue(TextEnv):
    """Stop for half a point, or continue for a quarter and more to come.

    Description:
        Each turn the player stops, which ends the game, or continues; only the last turn pays one
        who continues in full. Nothing is hidden and there is no chance. Whatever the player does
        later, continuing is worth at least 0.25 more than stopping, since every play earns 0.5 or
        more from any turn on. An estimator that sums rewards after subtracting, at each turn, the
        mean of those still playing takes that future away: under it continuing looks 0.25 worse at
        every turn but the last, under every policy, since what is subtracted grows with the number
        of turns that the player chose to take.

    Actions:
        `stop` and `continue`, in any case, in quotes or asterisks, with a full stop or not; both
        are always admissible. Anything else is `malformed`, and the turn is lost: it passes without
        pay.

    Observations:
        The turn and what both actions pay: `Turn 1 of 3. Stop pays 0.5, continue pays 0.25.` A
        lost turn is answered by a sentence in front of it.

    Rewards:
        0.5 for stopping, 0.25 for continuing, 1 for continuing on the last turn. A lost turn earns
        0 under every `on_invalid`; "terminate" also ends the game.

    Episode end:
        Terminated on stopping (failure), after continuing on the last turn (success) and when the
        last turn is lost (failure). Never truncated.

    Arguments:
        turns: How many turns there are, 2 to 1000.

    Capability:
        Going on although stopping pays more at once; an exact test of credit when the policy
        chooses how long episodes are.

    Source:
        This project, after a report on per-turn normalisation in verl (issue 7244, 2026): turn
        rewards as in MT-GRPO (Wei et al., 2025) are biased against taking another turn.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/StopOrContinue-v0
        StopOrContinue-v0
            min 0.5: stopping at once; no legal play does worse
            average 0.75 +- 0: exact, uniform over legal actions
            max 1.5 +- 0: exact, with everything seen
            expert 1.5 +- 0: the expert, seeds 0 to 9
        StopOrContinue-v0?turns=2
            min 0.5: stopping at once; no legal play does worse
            average 0.75 +- 0: exact, uniform over legal actions
            max 1.25 +- 0: exact, with everything seen
            expert 1.25 +- 0: the expert, seeds 0 to 9

    Version history:
        v0: first version.
    """

    def __init__(
        self,
        turns: int = 3,
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        check_count("turns", turns, 2, MOST_TURNS)
        self.turn_limit = self.turns = turns
        self.instructions = (
            f"You play a game of at most {turns} turns. On every turn you stop or continue. Stop "
            f"pays {STOP_REWARD:g} and ends the game. Continue pays {CONTINUE_REWARD:g}, and "
            f"{LAST_REWARD:g} on the last turn, which ends the game too. Earn as much as you can "
            "in all.\nAnswer with one word and nothing else: stop or continue. Any other answer "
            "loses the turn without pay."
        )
        self._texts, self._answers = _tables(turns)
        self._position = 0

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        self._position = 0
        return self._texts[0]

    def _play(self, action: str) -> Outcome:
        meant = action if action in ACTIONS else parse_action(action)
        if meant is None:
            return self._lose_turn()
        outcome = self._answers[self._position][meant]
        if meant == CONTINUE:
            self._position += 1
        return outcome

    def _lose_turn(self) -> Outcome:
        last = self._position == self.turns - 1
        if last or self.on_invalid == "terminate":
            return self._invalid("malformed", f"{_WASTED} {_OVER}", penalty=0.0)
        self._position += 1
        return self._invalid("malformed", f"{_WASTED} {self._texts[self._position]}", penalty=0.0)

    def _save(self) -> dict[str, Any]:
        return {"position": self._position}

    def _load(self, state: Any) -> None:
        self._position = int(state["position"])

    def admissible_actions(self) -> list[str]:
        """`stop` and `continue`."""
        return list(ACTIONS)

    def expert_action(self) -> str:
        """`continue`: fair, since nothing is hidden."""
        return CONTINUE

    def progress(self) -> float:
        """The share of the turns that have passed; stopping adds none."""
        return self._position / self.turns

    def state_key(self) -> str:
        """How many turns have passed."""
        return str(self._position)

    def start_states(self) -> list[tuple[float, Snapshot]]:
        """The one start state."""
        return [(1.0, self._start_snapshot({"position": 0}, self._texts[0]))]


@lru_cache(maxsize=16)
def _tables(turns: int) -> tuple[tuple[str, ...], tuple[dict[str, Outcome], ...]]:
    """For every turn, what is told before it and what each action answers."""
    last = turns - 1
    pays = [CONTINUE_REWARD] * last + [LAST_REWARD]
    texts = tuple(
        f"Turn {position + 1} of {turns}. Stop pays {STOP_REWARD:g}, continue pays {pay:g}."
        for position, pay in enumerate(pays)
    )
    stop = Outcome("You have stopped. " + _OVER, reward=STOP_REWARD, terminated=True)
    end = Outcome(
        "You have played to the end. " + _OVER, LAST_REWARD, terminated=True, success=True
    )
    on = [Outcome(text, reward=CONTINUE_REWARD) for text in texts[1:]]
    return texts, tuple({STOP: stop, CONTINUE: outcome} for outcome in (*on, end))
