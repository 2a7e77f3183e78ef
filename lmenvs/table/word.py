"""Rows of the table: word games."""

from ..spec import EnvSpec, Reference
from .lmrl import published

_LMRL_WORDS = "sha256:433c429a3fc53ed07650f7c91c35eef8dd9c7cc62b24d4de1205819ed823ac8d"
_POLICIES = "lmenvs.envs.word.wordle_policies"
_SMALL = (
    'lmenvs/Wordle-v0?words=["grade","grate","hatch","latch","match","patch","plumb","slate",'
    '"watch"]'
)
_HERE = "this project, LMRL-Gym's list of 431 words"
_CHECK = "LMENVS_LMRL_WORDS=PATH python -m pytest tests/lmenvs/envs/word/test_wordle_bounds.py"

ROWS: tuple[EnvSpec, ...] = (
    EnvSpec(
        id="lmenvs/Wordle-v0",
        entry_point="lmenvs.envs.word.wordle:Wordle",
        summary="Find a five-letter word in six tries from the marks of the guesses",
        turn_limit=6,
        return_range=(-6.0, 0.0),
        references={
            "lmenvs/Wordle-v0": {
                "min": Reference(-6.0, "by the rules"),
                "uniform": Reference(-5.9969, "uniform play over the 6694 guesses, by arithmetic"),
            },
            "lmenvs/Wordle-v0?feedback=lmrl": {
                "min": Reference(-6.0, "by the rules"),
                "uniform": Reference(-5.9969, "uniform play over the 6694 guesses, by arithmetic"),
            },
            _SMALL: {"min": Reference(-6.0, "by the rules")},
            f"lmenvs/Wordle-v0?feedback=lmrl&words={_LMRL_WORDS}": {
                **published(
                    *(-6.0, -4.12, -1.94), *(-2.81, -2.85, -2.16, -2.04, -2.63, -2.15, -5.42)
                ),
                "expert": Reference(-1.9420, f"{_HERE}: the expert, all of them", 0.0, _CHECK),
                "dataset": Reference(
                    -4.1101, f"{_HERE}: dataset policy, 20 games each", 0.0173, _CHECK
                ),
            },
        },
        measures={
            "lmenvs/Wordle-v0": {
                "average": f"{_POLICIES}:dataset:1000",
                "max": "expert:1000",
                "expert": "expert:1000",
            },
            "lmenvs/Wordle-v0?feedback=lmrl": {
                "average": f"{_POLICIES}:dataset:1000",
                "max": "expert:1000",
                "expert": "expert:1000",
            },
            _SMALL: {
                "average": "uniform",
                "max": "belief",
                "optimum": "optimum",
                "belief": "belief",
                "expert": "expert:1000",
            },
        },
        tags=frozenset({"exact", "word", "items"}),
        variants=("lmenvs/Wordle-v0?feedback=lmrl&split=test", _SMALL),
    ),
)
