"""Rows of the table: games of TextWorld."""

from ..spec import EnvSpec, Reference

RULES = "by the rules"
PLAN = "by the rules; TextWorld's own plan reaches it within half the turns"
TAGS = frozenset({"text-game", "textworld", "generated"})

_COIN = "lmenvs/TextWorldCoinCollector-v0"
_SHIPPED = f"{_COIN}?level=104&games=448"
_QUEST = "lmenvs/TextWorldQuest-v0"
_GRID = (_QUEST, f"{_QUEST}?rooms=4&objects=6&quest_length=8")
_TREASURE = "lmenvs/TextWorldTreasureHunter-v0"
_LEVELS = (_TREASURE, f"{_TREASURE}?level=10")
_COOKING = "lmenvs/TextWorldCooking-v0"
_NAV = "lmenvs/TextNav-v0"
_BOUNDS = {"min": Reference(0.0, RULES), "max": Reference(1.0, RULES)}
_PLANNED = {"min": Reference(0.0, RULES), "max": Reference(1.0, PLAN)}
_FEW = {"average": "random:200", "expert": "expert:200"}  # each episode generates a game
# where even play never wins, it is no average: half of its commands are the expert's instead
_MIXED_PLAYER = "lmenvs.envs.textworld.text_nav:mixed_policy"
_MIXED = {
    "average": f"{_MIXED_PLAYER}:200",
    "uniform": "random:200",
    "expert": "expert:200",
}

ROWS: tuple[EnvSpec, ...] = (
    EnvSpec(
        id=_NAV,
        entry_point="lmenvs.envs.textworld.text_nav:TextNav",
        summary="Carry a food through a house into the fridge, with the rooms named or not",
        turn_limit=15,
        return_range=(0.0, 1.0),
        references={_NAV: _BOUNDS, f"{_NAV}?observability=partial": _BOUNDS},
        measures={
            name: {
                "average": f"{_MIXED_PLAYER}:1000",
                "uniform": "random:1000",
                "expert": "expert:1000",
            }
            for name in (_NAV, f"{_NAV}?observability=partial")
        },
        tags=frozenset({"text-game", "textworld", "navigation"}),
        extra="textworld",
        variants=(f"{_NAV}?observability=partial",),
    ),
    EnvSpec(
        id=_COIN,
        entry_point="lmenvs.envs.textworld.coin_collector:TextWorldCoinCollector",
        summary="Explore the rooms of a house on TextWorld's interpreter and take the coin",
        turn_limit=15,
        return_range=(0.0, 1.0),
        references={_COIN: _PLANNED, _SHIPPED: {"min": Reference(0.0, RULES)}},
        measures={
            _COIN: _FEW,
            _SHIPPED: {"average": "uniform", "max": "optimum", "expert": "expert:1000"},
        },
        tags=TAGS,
        extra="textworld",
        variants=(
            f"{_COIN}?level=104&games=256&admissible=true&description=name",
            f"{_COIN}?level=104&games=256&relabel=true&split=train",
        ),
    ),
    EnvSpec(
        id=_QUEST,
        entry_point="lmenvs.envs.textworld.quest:TextWorldQuest",
        summary="Solve a generated quest with rooms, objects and keys on TextWorld's interpreter",
        turn_limit=8,
        return_range=(0.0, 1.0),
        references=dict.fromkeys(_GRID, _PLANNED),
        measures=dict.fromkeys(_GRID, _MIXED),
        tags=TAGS,
        extra="textworld",
        variants=(
            f"{_QUEST}?reward=dense&objective=full&games=6",
            f"{_QUEST}?rooms=4&objects=6&quest_length=8&games=3",
        ),
    ),
    EnvSpec(
        id=_TREASURE,
        entry_point="lmenvs.envs.textworld.treasure_hunter:TextWorldTreasureHunter",
        summary="Search a house on TextWorld's interpreter for one object, and not take the other",
        turn_limit=20,
        return_range=(0.0, 1.0),
        references=dict.fromkeys(_LEVELS, _PLANNED),
        measures=dict.fromkeys(_LEVELS, _FEW),
        tags=TAGS,
        extra="textworld",
        variants=(f"{_TREASURE}?games=3&level=25&reward=dense",),
    ),
    EnvSpec(
        id=_COOKING,
        entry_point="lmenvs.envs.textworld.cooking:TextWorldCooking",
        summary="Read a recipe, find, cut and cook its ingredients on TextWorld's interpreter, eat",
        turn_limit=38,
        return_range=(0.0, 1.0),
        references={_COOKING: _BOUNDS},
        measures={_COOKING: _MIXED},
        tags=TAGS,
        extra="textworld",
        variants=(f"{_COOKING}?drop=true&games=3&go=9&recipe=2&reward=dense",),
    ),
    EnvSpec(
        id="lmenvs/TextWorldFile-v0",
        entry_point="lmenvs.envs.textworld.file:TextWorldFile",
        summary="Play your own TextWorld game from its .z8 file",
        turn_limit=100,
        return_range=(0.0, 1.0),
        references={"lmenvs/TextWorldFile-v0": {"min": Reference(0.0, RULES)}},
        measures={
            "lmenvs/TextWorldFile-v0": {
                "average": "random:1000",
                "max": "optimum",
                "expert": "expert:1000",
            }
        },
        tags=frozenset({"text-game", "textworld", "exact"}),
        extra="textworld",
    ),
)
