"""Which environments credit is measured on: all that are exact, in sizes that arrays can hold.

Where the default size is too large to solve, or takes longer than the rest together, a smaller one
stands here and `SMALLER` says why.
"""

from collections.abc import Mapping

WORDLE = 'lmenvs/Wordle-v0?words=["crane","slate","trace","crate","caret","react"]'
OBJECTS = 'lmenvs/TwentyQuestions-v0?items=["apple","car","dog","hammer","piano"]'
CITIES = 'lmenvs/GuessMyCity-v0?items=["Paris","Tokyo","Cairo","Lima","Oslo"]'

ENVIRONMENTS: Mapping[str, str] = {
    "Microwave": "lmenvs/Microwave-v0",
    "StopOrContinue": "lmenvs/StopOrContinue-v0?turns=6",
    "DelayedKey": "lmenvs/DelayedKey-v0",
    "Maze u": "lmenvs/Maze-v0?layout=u",
    "Maze double t": "lmenvs/Maze-v0",
    "FrozenLake": "lmenvs/FrozenLakeText-v0?slippery=false",
    "FrozenLake slippery": "lmenvs/FrozenLakeText-v0",
    "Sokoban": "lmenvs/TextSokoban-v0?levels=4&turns=12",
    "Bandit": "lmenvs/BernoulliBandit-v0",
    "Wordle": WORDLE,
    "Countdown": "lmenvs/Countdown-v0?numbers=3&pool=32",
    "StringTransform": "lmenvs/StringTransform-v0?depth=3&pool=8",
    "TwentyQuestions": OBJECTS,
    "GuessMyCity": CITIES,
    "TextWorld": "lmenvs/TextWorldFile-v0?path=example&turn_limit=20",
}
"""What a table calls it, and the environment."""

SMALLER: Mapping[str, str] = {
    "Sokoban": "4 levels of 12 turns: more have more states than `lmenvs.exact` asks for",
    "Wordle": "6 words: 2126 have more (state, turn, action) triples than `lmenvs.exact` asks for",
    "Countdown": "32 puzzles of 3 numbers: an estimator meets a task twice",
    "StringTransform": "8 compositions of 3 functions: an estimator meets a task twice",
    "TwentyQuestions": "5 objects: `lmenvs.exact` is for lists of about six",
    "GuessMyCity": "5 cities: `lmenvs.exact` is for lists of about six",
    "TextWorld": "20 turns: with 100 even random play finds the coin",
}
"""Why an environment is not of the default size."""
