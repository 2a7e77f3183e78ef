"""Guess My City: find the hidden city with questions of any kind."""

from collections.abc import Sequence
from typing import Literal

from lmenvs.core import OnInvalid
from lmenvs.splits import Split

from .city_questions import city_book
from .game import QUESTIONS, QuestionGame


class GuessMyCity(QuestionGame):
    """Find the hidden city with at most twenty questions of any kind.

    Description:
        One of 123 large or famous cities is hidden. It answers questions about its country, place,
        people, climate, waters and sights from tables of facts that were written for this project
        (data/SOURCES.md says how), but tells neither its name nor anything about its name.

    Actions:
        One question or one guess in free English: `What language do they speak there?`, `Is it on
        the coast?`, `Do more than a million people live there?`, `Is it home to the Eiffel Tower?`,
        `Is it Paris?`. What is understood as a whole is answered; of several sentences only the one
        question in them is read. A question that is not understood is `malformed`, one about
        something that is not in the facts `unknown`, one that is not answered here `inadmissible`;
        each uses up a question.

    Observations:
        A sentence (`It is in France.`), `Yes.`, `No.`, `It depends.` or `I am not sure.` where the
        tables say neither. The last observation of an episode names the city.

    Rewards:
        -1 for each question, wrong guess or invalid text, 0 for the right guess: between -20 and 0.
        Invalid text costs 0 under `on_invalid="noop"`.

    Episode end:
        Terminated by the right guess, after twenty questions, and on invalid text under
        `on_invalid="terminate"`. Never truncated.

    Arguments:
        questions: "free" (default) answers all of them; "yes_no" only those that yes or no can
            answer, which makes the search as long as in Twenty Questions.
        items: None for all cities, or a list of names of which one is hidden. With at most 12 the
            admissible actions leave out questions that have the same answer for all of them or tell
            the same ones apart; lists of about six `lmenvs.exact` can solve on beliefs.
        split: "all", "train" or "test": which cities are hidden. All may be guessed.
        Option `answer` of `reset`: the hidden city.

    Capability:
        Gathering information, deduction, knowledge of the world.

    Source:
        Rewards and limit of the task in LMRL-Gym (Abdulhai et al., 2023). Cities, facts, words and
        parser are this project's: in LMRL-Gym a language model answers about 100 cities, so its
        scores are not comparable.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/GuessMyCity-v0
        GuessMyCity-v0
            min -20: by the rules
            average -13.169 +- 0.19: casual policy, seeds 0 to 999
            max -1.605 +- 0.018: the expert, seeds 0 to 999
            expert -1.605 +- 0.018: the expert, seeds 0 to 999
            uniform -19.463 +- 0.082: uniform over legal actions, seeds 0 to 999
        GuessMyCity-v0?questions=yes_no
            min -20: by the rules
            average -14.952 +- 0.18: casual policy, seeds 0 to 999
            max -4.471 +- 0.025: the expert, seeds 0 to 999
            expert -4.471 +- 0.025: the expert, seeds 0 to 999
            uniform -19.574 +- 0.075: uniform over legal actions, seeds 0 to 999

    Version history:
        v0: first version.
    """

    noun = "a city"
    plural = "cities"

    def __init__(
        self,
        questions: Literal["free", "yes_no"] = "free",
        items: Sequence[str] | None = None,
        split: Split = "all",
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        if questions not in ("free", "yes_no"):
            raise ValueError(f"questions={questions!r}; expected 'free' or 'yes_no'")
        super().__init__(
            city_book(questions == "yes_no"),
            items,
            split,
            on_invalid=on_invalid,
            admissible_info=admissible_info,
            render_mode=render_mode,
        )
        self.questions = questions
        kind = "yes-or-no " if questions == "yes_no" else ""
        self.instructions = (
            "I am thinking of a city somewhere in the world. Find out which. You have "
            f"{QUESTIONS} {kind}questions; a guess counts as one. You may ask about its country, "
            "place, people, language, climate, waters and sights, but not about its name.\n"
            "Ask one short question, or guess with a question such as: Is it Paris?"
        )
