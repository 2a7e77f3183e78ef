"""The list of golden transcripts; add a line here and run `python -m tests.golden.make`."""

from . import Game

ODD_TEXT = ("", "left", "MOVE  up ", "\ud800", "move\x00left", "move left\nmove right", "上へ")

GAMES: tuple[Game, ...] = (
    Game("maze_expert", "lmenvs/Maze-v0", 1),
    Game("maze_partial_expert", "lmenvs/Maze-v0?observability=partial", 2),
    Game("maze_u_random", "lmenvs/Maze-v0?layout=u", 1, "random"),
    Game(
        "maze_u_partial_illegal",
        "lmenvs/Maze-v0?layout=u&observability=partial",
        4,
        (*ODD_TEXT, "move right", "move right", "move down", "move down"),
        {"start": [3, 1]},
    ),
    Game("maze_failure", "lmenvs/Maze-v0", 0, ("move up",) * 102, {"start": [1, 1]}),
    Game("microwave_expert", "lmenvs/Microwave-v0"),
    Game(
        "microwave_failure",
        "lmenvs/Microwave-v0",
        0,
        ("close the microwave", "eat", "Open the microwave", "close the microwave", "open"),
    ),
    Game("wordle_expert", "lmenvs/Wordle-v0", 5),
    Game("wordle_lmrl_expert", "lmenvs/Wordle-v0?feedback=lmrl&split=test", 6),
    Game(
        "wordle_lost",
        "lmenvs/Wordle-v0",
        0,
        ("Crane", "zzzzz", "guess: e e r i e", "", "geese", "sleep"),
        {"answer": "elegy"},
    ),
    Game("bandit_expert", "lmenvs/BernoulliBandit-v0", 7),
    Game(
        "bandit_summary_random",
        "lmenvs/BernoulliBandit-v0?context=summary&horizon=8&means=[0.9,0.5,0.1]&scenario=clothes",
        8,
        "random",
    ),
    Game(
        "bandit_guided",
        "lmenvs/BernoulliBandit-v0?arms=2&context=guided&horizon=6&scenario=ads",
        9,
        ("tea", "2", "advert 1", "3", "both", "Coffee."),
    ),
    Game("textworld_coin_expert", "lmenvs/TextWorldCoinCollector-v0?level=104&games=256", 3),
    Game(
        "textworld_coin_short_random",
        "lmenvs/TextWorldCoinCollector-v0?admissible=true&description=name&games=256&level=104"
        "&relabel=true&split=test",
        4,
        "random",
    ),
    Game(
        "textworld_coin_illegal",
        "lmenvs/TextWorldCoinCollector-v0?games=256&level=104&objective=none&reward=dense",
        5,
        (
            "restart",
            "quit",
            "save",
            "go",
            "goal",
            "take it",
            "",
            "look\nlook",
            "\x00",
            "n",
            "e",
            "s",
        ),
        {"game": 7},
    ),
    Game("textworld_quest_expert", "lmenvs/TextWorldQuest-v0?reward=dense", 6, options={"game": 2}),
    Game(
        "textworld_quest_wandering",
        "lmenvs/TextWorldQuest-v0?objective=full&turn_limit=12",
        6,
        (
            "look",
            "inventory",
            "x me",
            "take everything",
            "eat key",
            "go up",
            "i",
            "drop key",
            "dance",
        ),
        {"game": 1},
    ),
)
