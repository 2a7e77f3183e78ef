"""Wordle: find a five-letter word in six tries from the marks of the guesses."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from lmenvs.arguments import check_choice
from lmenvs.core import OnInvalid, Outcome, Snapshot, TextEnv
from lmenvs.splits import Split, check_split, select

from .word_lists import LETTERS, is_word, load_words, shipped_words
from .wordle_rules import FEEDBACKS, SOLVED, Feedback, best_guess, consistent, marks

TRIES = 6
MISS_REWARD = -1.0
SOLVED_REWARD = 0.0
INVALID_REWARD = -1.0
FIRST_TEXT = "The word is hidden. Make your first guess."

_LONGEST = 64  # characters; no way of writing a guess is longer
_SPACED = 2 * LETTERS - 1  # characters of a word with its letters apart
_PREFIX = re.compile(r"\A(?:my )?(?:guess|word|answer)(?: is)? ?[:=]? ?")


def parse_guess(text: str) -> str | None:
    """The five letters that a text guesses, lower-case, or None.

    Read are the word alone, its letters apart (by blanks, commas or hyphens), either behind
    `guess`, `word` or `answer` and a colon, in quotes or with a full stop, in any case. Whether the
    word is in a list is not decided here.

    >>> parse_guess("Guess: CRANE"), parse_guess("c r a n e"), parse_guess("crane or slate")
    ('crane', 'crane', None)
    """
    if len(text) > _LONGEST:
        return None
    words = " ".join(text.lower().split()).strip("\"'`.!* ")
    if len(words) > _SPACED:  # "guess" and "words" are words too
        words = _PREFIX.sub("", words, count=1).strip("\"'`.!* ")
    if re.fullmatch(r"[a-z](?:[ ,-]+[a-z]){4}", words):
        words = re.sub(r"[ ,-]+", "", words)
    return words if is_word(words) else None


def _named(guess: str, found: str) -> str:
    """The letters of a guess, each with its mark."""
    return ", ".join(f"{letter} {mark}" for letter, mark in zip(guess, found, strict=True))


class Wordle(TextEnv):
    """Find the hidden five-letter word in six tries.

    Description:
        A word is hidden. Each guess is answered by one mark a letter: `g` for the right letter in
        the right place, `y` for one that is elsewhere in the word, `b` for one that is not in it.

    Actions:
        A word of five letters from the list of allowed guesses: `crane`, `c r a n e` or
        `guess: crane`, in any case (see `parse_guess`). Text that is no such word is `malformed`, a
        word outside the list `unknown`; both use up a try.

    Observations:
        The five marks with blanks between them: `b y g b b`. An invalid guess is answered by a
        sentence without marks. The last observation of a lost game names the word. With
        `shows="letters"` each mark stands behind its letter: `c b, r y, a g, n b, e b`, the same
        knowledge for who cannot spell.

    Rewards:
        -1 for each guess that misses, 0 for the one that solves, -1 for an invalid one under
        `on_invalid="penalise"` (the default) and "terminate", 0 under "noop": between -6 and 0 for
        an episode.

    Episode end:
        Terminated when solved, after six tries, and on an invalid guess under
        `on_invalid="terminate"`. Never truncated.

    Arguments:
        words: None for the package's list (2126 answers, 6694 allowed guesses, from SCOWL), or a
            path or a sequence of words that are both the answers and the allowed guesses.
        feedback: "official" counts repeated letters as the game does, "lmrl" judges each letter by
            itself as LMRL-Gym does.
        split: "all", "train" or "test": which answers are drawn. All guesses stay allowed.
        shows: "marks", or "letters" with their marks.
        Option `answer` of `reset`: the hidden word; one of the allowed guesses.

    Capability:
        Deduction, letters inside words.

    Source:
        The game Wordle (Josh Wardle, 2021); rewards, six tries and "lmrl" marks of LMRL-Gym
        (Abdulhai et al., 2023). Its scores are comparable with `feedback="lmrl"` and its list of
        "400" words, which is not shipped (`word_lists.KNOWN_LISTS` tells it by fingerprint).

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/Wordle-v0
        Wordle-v0
            min -6: by the rules
            uniform -5.9969: uniform play over the 6694 guesses, by arithmetic
            average -4.798 +- 0.044: dataset policy, seeds 0 to 999
            max -2.599 +- 0.026: the expert, seeds 0 to 999
            expert -2.599 +- 0.026: the expert, seeds 0 to 999
        Wordle-v0?feedback=lmrl
            min -6: by the rules
            uniform -5.9969: uniform play over the 6694 guesses, by arithmetic
            average -4.809 +- 0.044: dataset policy, seeds 0 to 999
            max -2.614 +- 0.027: the expert, seeds 0 to 999
            expert -2.614 +- 0.027: the expert, seeds 0 to 999
        Wordle-v0?words=["grade", "grate", "hatch", "latch", "match", "patch", "plumb", "slate",
            "watch"]
            min -6: by the rules
            average -4.0538 +- 0: exact, uniform over legal actions
            max -1.2222 +- 0: exact, of what a player can know
            optimum 0 +- 0: exact, with everything seen
            belief -1.2222 +- 0: exact, of what a player can know
            expert -1.595 +- 0.038: the expert, seeds 0 to 999
        Wordle-v0?feedback=lmrl&words=sha256:433c429a...
            min -6: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            average -4.12: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            max -1.94: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            BC -2.81: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            filtered BC -2.85: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            MC -2.16: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            ILQL -2.04: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            PPO -2.63: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            online filtered BC -2.15: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and
                bounds
            GPT-4 -5.42: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            expert -1.942 +- 0: this project, LMRL-Gym's list of 431 words: the expert, all of them
            dataset -4.1101 +- 0.017: this project, LMRL-Gym's list of 431 words: dataset policy, 20
                games each

    Version history:
        v0: first version.
    """

    reset_options = frozenset({"answer"})
    turn_limit = TRIES
    instructions = (
        "Find the hidden English word of five letters. Each guess is answered by one mark for each "
        "letter: g = right letter in the right place, y = the letter is elsewhere in the word, "
        f"b = the letter is not in the word. You have {TRIES} tries; a guess that is not an "
        "allowed word uses one up.\nAnswer with one five-letter word and nothing else."
    )

    def __init__(
        self,
        words: str | os.PathLike[str] | Sequence[str] | None = None,
        feedback: Feedback = "official",
        split: Split = "all",
        shows: Literal["marks", "letters"] = "marks",
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        check_choice("feedback", feedback, FEEDBACKS)
        check_choice("shows", shows, ("marks", "letters"))
        if words is None:
            self._pool, self._allowed = shipped_words()
        else:
            self._pool = load_words(words)
            self._allowed = frozenset(self._pool)
        self.feedback: Feedback = feedback
        self.shows = shows
        self.split = check_split(split)
        self.answers = tuple(select(self._pool, split))
        if not self.answers:
            raise ValueError(
                f"split={split!r} holds none of the {len(self._pool)} words; expected at least one"
            )
        self._answer = self.answers[0]
        self._tried: list[tuple[str, str]] = []

    @cached_property
    def allowed(self) -> tuple[str, ...]:
        """All words that may be guessed, sorted."""
        return tuple(sorted(self._allowed))

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        wanted = options.get("answer")
        if wanted is None:
            self._answer = self.answers[int(task.integers(len(self.answers)))]
        elif isinstance(wanted, str) and wanted.lower() in self._allowed:
            self._answer = wanted.lower()
        else:
            raise ValueError(
                f"options['answer'] = {wanted!r}; expected one of the {len(self._allowed)} "
                "allowed words"
            )
        self._tried = []
        return FIRST_TEXT

    def _play(self, action: str) -> Outcome:
        guess = action if action in self._allowed else parse_guess(action)
        if guess is None:
            return self._invalid_guess("malformed", "That is not one word of five letters.")
        if guess not in self._allowed:
            return self._invalid_guess("unknown", "That word is not in the list.")
        found = marks(guess, self._answer, self.feedback)
        self._tried.append((guess, found))
        text = " ".join(found) if self.shows == "marks" else _named(guess, found)
        if found == SOLVED:
            return Outcome(text, reward=SOLVED_REWARD, terminated=True, success=True)
        return Outcome(text, reward=MISS_REWARD)

    def _invalid_guess(self, error: str, text: str) -> Outcome:
        outcome = self._invalid(error, text, penalty=INVALID_REWARD)
        return self._at_limit(outcome) if outcome.terminated else outcome

    def _at_limit(self, outcome: Outcome) -> Outcome:
        text = f"{outcome.observation}\nYou have lost. The word was {self._answer}."
        return replace(outcome, observation=text, terminated=True)

    def _save(self) -> dict[str, Any]:
        return {"answer": self._answer, "tried": tuple(self._tried)}

    def _load(self, state: Any) -> None:
        self._answer = str(state["answer"])
        self._tried = [(str(guess), str(found)) for guess, found in state["tried"]]

    def admissible_actions(self) -> list[str]:
        """All allowed guesses, sorted."""
        return list(self.allowed)

    def expert_action(self) -> str:
        """The consistent word with the greatest information gain (`wordle_rules.best_guess`).

        Fair: it uses the marks seen and the list of answers, of which it does not know the split.
        """
        return best_guess(self.candidates(), self.feedback)

    def candidates(self) -> tuple[str, ...]:
        """The words that a player who knows the list of answers cannot rule out."""
        candidates = self._consistent_with_marks(self._pool)
        # `reset` may have been given an answer that is only in the list of guesses
        return candidates or self._consistent_with_marks(self.allowed)

    def _consistent_with_marks(self, candidates: tuple[str, ...]) -> tuple[str, ...]:
        for guess, found in self._tried:
            candidates = consistent(candidates, guess, found, self.feedback)
        return candidates

    def progress(self) -> float:
        """The largest number of letters that one guess had in place, of five."""
        return max((found.count("g") for _, found in self._tried), default=0) / len(SOLVED)

    def answer(self) -> str:
        """The hidden word."""
        return self._answer

    def state_key(self) -> str:
        """The hidden word and what was guessed, in any order."""
        return " ".join([self._answer, "|", *sorted({guess for guess, _ in self._tried})])

    def start_states(self) -> list[tuple[float, Snapshot]]:
        """Each answer of the split, equally probable; lists of about ten words can be solved."""
        return [
            (1 / len(self.answers), self._start_snapshot({"answer": word, "tried": ()}, FIRST_TEXT))
            for word in self.answers
        ]
