"""Twenty Questions: find the hidden object with questions that are answered by yes or no."""

from collections.abc import Sequence

from lmenvs.core import OnInvalid
from lmenvs.splits import Split

from .game import QUESTIONS, QuestionGame
from .object_questions import object_book


class TwentyQuestions(QuestionGame):
    """Find the hidden object with at most twenty yes-or-no questions.

    Description:
        One of 177 objects in 17 categories (animals, fruits, vegetables, vehicles, clothes,
        electronics, musical instruments, furniture, office supplies, sports equipment, art, kitchen
        tools, nature, toys, jewelry, garden supplies, tools) is hidden. It answers questions from a
        table of facts that was written for this project (data/SOURCES.md says how).

    Actions:
        One question or one guess in free English: `Is it alive?`, `Can you eat it?`, `Is it bigger
        than a shoebox?`, `Is it a piano?`, `My guess is a piano.` What is understood as a whole is
        answered; of several sentences only the one question in them is read. A question that is
        not understood is `malformed`, one about something that is not in the facts `unknown`, one
        that yes or no cannot answer `inadmissible`; each uses up a question. "Isn't it alive?" asks
        the same as "Is it alive?"; "Is it not alive?" asks the opposite. Two things may be asked at
        once of a kind of thing: "Is it a bird that can't fly?" (data/SOURCES.md: how much is
        understood).

    Observations:
        `Yes.`, `No.`, or `It depends.` where the table says neither: it varies from one such object
        to another, or is a matter of opinion. The last observation of an episode names the object.

    Rewards:
        -1 for each question, wrong guess or invalid text, 0 for the right guess: between -20 and 0.
        Invalid text costs 0 under `on_invalid="noop"`.

    Episode end:
        Terminated by the right guess, after twenty questions, and on invalid text under
        `on_invalid="terminate"`. Never truncated.

    Arguments:
        items: None for all objects, or a list of names of which one is hidden. With at most 12 the
            admissible actions leave out questions that have the same answer for all of them or tell
            the same ones apart; lists of about six `lmenvs.exact` can solve on beliefs.
        split: "all", "train" or "test": which objects are hidden. All may be guessed.
        Option `answer` of `reset`: the hidden object.

    Capability:
        Gathering information, deduction, common knowledge.

    Source:
        The game; rewards and limit of the task in LMRL-Gym (Abdulhai et al., 2023). Objects, facts,
        words and parser are this project's: LMRL-Gym has 158 objects and a language model answers,
        so its scores are not comparable.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/TwentyQuestions-v0
        TwentyQuestions-v0
            min -20: by the rules
            average -14.784 +- 0.18: casual policy, seeds 0 to 999
            max -4.758 +- 0.025: the expert, seeds 0 to 999
            expert -4.758 +- 0.025: the expert, seeds 0 to 999
            uniform -19.588 +- 0.072: uniform over legal actions, seeds 0 to 999
        TwentyQuestions-v0?items=["apple", "car", "dog", "hammer", "piano"]
            min -20: by the rules
            average -1.826 +- 0.033: casual policy, seeds 0 to 999
            max -1.4 +- 0: exact, of what a player can know
            belief -1.4 +- 0: exact, of what a player can know
            expert -1.423 +- 0.016: the expert, seeds 0 to 999

    Version history:
        v0: first version.
    """

    noun = "an object"
    plural = "objects"
    instructions = (
        "I am thinking of an object: something of everyday life or of nature, perhaps an animal or "
        f"a plant. Find out what it is. You have {QUESTIONS} questions; a guess counts as one. I "
        "answer with yes, no or it depends.\nAsk one short question that yes or no can answer, or "
        "guess with a question such as: Is it a piano?"
    )

    def __init__(
        self,
        items: Sequence[str] | None = None,
        split: Split = "all",
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            object_book(),
            items,
            split,
            on_invalid=on_invalid,
            admissible_info=admissible_info,
            render_mode=render_mode,
        )

    def name_of(self, item: int) -> str:
        """The object with its article."""
        guess = self._book.guesses[item].text
        return guess.removeprefix("Is it ").removesuffix("?")
