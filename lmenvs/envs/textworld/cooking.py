"""The cooking game: read the recipe, find the ingredients, cut and cook them, eat the meal."""

from lmenvs.arguments import check_count, check_flag
from lmenvs.core import OnInvalid
from lmenvs.splits import Split

from .base import Description, Objective, Reward, TextWorldEnv
from .cooking_expert import READ, Cook, read_dish
from .explorer import survey
from .session import Answer, State

MOST_INGREDIENTS = 5
PLACES = (1, 6, 9, 12)
TURNS = 10
TURNS_PER_INGREDIENT = 10
TURNS_PER_ROOM = 3


class TextWorldCooking(TextWorldEnv):
    """Cook a meal after a recipe, and eat it.

    Description:
        A house with a kitchen, furniture and food. The cookbook in the kitchen holds a recipe; its
        ingredients lie about, among others. Depending on the arguments they are in closed places,
        must be fried (stove), roasted (oven) or grilled (BBQ), and chopped, sliced or diced
        (knife), and the player can carry only so much. Then `prepare meal` in the kitchen, and
        `eat meal`. Cooking something twice burns it; that, a wrong cut, a wrong way of cooking, and
        eating an ingredient lose the game.

    Actions:
        Commands such as `examine cookbook`, `take carrot from fridge`, `slice carrot with knife`,
        `cook carrot with oven`, in any case and spacing, in quotes or asterisks, with or without a
        full stop; TextWorld's synonyms (`e`, `get`, `x`, `i`) work too. A text that is not one line
        of printable characters of at most 198 is `unsafe`; one that the parser cannot read, a
        meta-command (`restart`, `save`, `undo`, ...), several commands or things in one line
        (`then`, `and`, `all`), or a pronoun is `malformed`; a command that this state does not
        allow is `inadmissible`. Invalid texts change nothing; they are answered by the environment,
        or by the interpreter where it understands them. `admissible_actions()` is the game's own
        list for the state, `look` and `examine` included; `prepare meal` is in it as soon as the
        ingredients are in hand, and answered with what is still missing.

    Observations:
        At first the goal (as `objective` says) and the room; then what the interpreter answers,
        without banner, status line and turn count.

    Rewards:
        "sparse": 1 for eating the meal, else 0. "dense": the difference of the game's score over
        its greatest score: a point for each ingredient in hand for the first time, each right cut
        and cooking, the meal prepared and the meal eaten, 1 in all. An invalid action costs nothing
        but its turn under "penalise" (the default) and "noop".

    Episode end:
        Terminated when the meal is eaten (success), when it cannot be any more (see Description),
        and at the turn limit. Never truncated.

    Arguments:
        recipe: 1 to 5 ingredients.
        take: How many of them must be found; the others are in the player's hands. None is all.
        go: 1, 6, 9 or 12 rooms.
        open: Doors and containers are closed at first.
        cook: Every ingredient must be cooked; if False, all are as the recipe wants them.
        cut: Every ingredient must be cut; if False, all are as the recipe wants them.
        drop: The player carries at most `recipe` things (2 for one ingredient that must be cut).
        recipe_seed: 0, or a number that draws another recipe from the same house; needs `take`.
        split: "all", "train" or "test"; halves by the hash of world and quest, blind to names.
        games, first_game: The pool of game numbers; None is every 31-bit number. Numbers that make
            no game, or one whose names the interpreter mixes up, are passed over.
        reward: "sparse" or "dense".
        objective: "goal", "full" (the game's own, which says no more than "goal") or "none".
        description: "full", or "name" for the title line of a room only (use it with `admissible`).
        admissible: End every observation with the line of admissible commands.
        turn_limit: None is 10, and 10 for each ingredient, and 3 for each room: two to four
            times what the expert takes.
        `reset(options={"game": number})` pins a game.

    Capability:
        Reading and following instructions, exploration, planning with objects. The expert is fair:
        it reads the cookbook, explores, and goes by the recipe and by how things looked.

    Source:
        TextWorld's cooking game (the First TextWorld Problems competition, 2018), played on the
        real interpreter; the skills and their names are the competition's. The split by content
        hash, the goal sentence, the two reward forms and the turn limit are this project's.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring
        lmenvs/TextWorldCooking-v0
        TextWorldCooking-v0
            min 0: by the rules
            max 1: by the rules
            average 0.61 +- 0.035: mixed_policy policy, seeds 0 to 199
            uniform 0 +- 0: uniform over legal actions, seeds 0 to 199
            expert 1 +- 0: the expert, seeds 0 to 199

    Version history:
        v0: first version.
    """

    planned = False  # the maker knows no plan for limited hands, and none survives a detour

    def __init__(
        self,
        *,
        recipe: int = 1,
        take: int | None = None,
        go: int = 6,
        open: bool = True,
        cook: bool = True,
        cut: bool = True,
        drop: bool = False,
        recipe_seed: int = 0,
        split: Split = "all",
        games: int | None = None,
        first_game: int = 0,
        reward: Reward = "sparse",
        objective: Objective = "goal",
        description: Description = "full",
        admissible: bool = False,
        turn_limit: int | None = None,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        check_count("recipe", recipe, 1, MOST_INGREDIENTS)
        take = recipe if take is None else take
        check_count("take", take, 0, recipe)
        if isinstance(go, bool) or go not in PLACES:
            raise ValueError(f"go={go!r}; expected the number of rooms: 1, 6, 9 or 12")
        for name, flag in (("open", open), ("cook", cook), ("cut", cut), ("drop", drop)):
            check_flag(name, flag)
        check_count("recipe_seed", recipe_seed, 0, 2**32 - 1)
        if recipe_seed and take != recipe:
            raise ValueError(
                f"recipe_seed={recipe_seed} with take={take}; expected take={recipe}, since the "
                "ingredients of another recipe are in nobody's hands; drop one of the two"
            )
        if turn_limit is None:
            turn_limit = TURNS + TURNS_PER_INGREDIENT * recipe + TURNS_PER_ROOM * go
        skills = {"recipe": recipe, "take": take, "go": go, "open": open, "cook": cook}
        skills |= {"cut": cut, "drop": drop, "recipe_seed": recipe_seed}
        super().__init__(
            family="cooking",
            parameters=tuple((name, int(value)) for name, value in skills.items()),
            turn_limit=turn_limit,
            split=split,
            games=games,
            first_game=first_game,
            reward=reward,
            objective=objective,
            description=description,
            admissible=admissible,
            on_invalid=on_invalid,
            admissible_info=admissible_info,
            render_mode=render_mode,
        )

    def _instructions(self) -> str:
        return (
            "You are hungry. Find the cookbook in the kitchen, read its recipe, get the "
            "ingredients, cut and cook them as it says, prepare the meal in the kitchen and eat "
            "it. To fry use the stove, to roast the oven, to grill the BBQ; cook each thing once. "
            "Answer with one command a turn, such as: go east, open fridge, examine cookbook, take "
            "carrot from fridge, slice carrot with knife, cook carrot with oven, prepare meal, eat "
            f"meal. You have {self.turn_limit} turns."
        )

    def _goal(self) -> str:
        return "Goal: cook the meal of the cookbook in the kitchen and eat it."

    def _gain(self, before: State, answer: Answer) -> float:
        if self._reward == "sparse":
            return float(answer.state.won)
        return (answer.state.score - before.score) / self.game.max_score

    def progress(self) -> float:
        """The part of the game's points that was scored; 1.0 exactly at success."""
        return self._state.score / self.game.max_score

    def expert_action(self) -> str:
        """The next step of a cook who has read what this player has read; fair."""
        if self._state.over:
            return "look"
        dish = read_dish(self.game.recipe) if READ in self._looked else None
        house = survey(self._states, self._commands)
        return self._say(Cook(house, dish, self._ask("inventory").text, self._looked).act())
