"""Rows of the table: walking through mazes and houses."""

from ..spec import LMRL, EnvSpec, Reference
from .lmrl import published

ROWS: tuple[EnvSpec, ...] = (
    EnvSpec(
        id="lmenvs/Maze-v0",
        entry_point="lmenvs.envs.navigation.maze:Maze",
        summary="Walk to the goal of a fixed maze, with the position told or hidden",
        turn_limit=101,
        return_range=(-401.0, 0.0),
        references={
            "lmenvs/Maze-v0": published(
                *(-101.0, -83.0, -6.84), *(-72.1, -56.4, -48.1, -6.97, -37.7, -71.7, -39.7)
            ),
            "lmenvs/Maze-v0?observability=partial": {
                **published(
                    *(-101.0, -83.0, -25.75), *(-79.5, -82.9, -80.3, -52.9, -91.7, -79.5, -88.0)
                ),
                "max": Reference(-25.75, f"{LMRL}; not the optimum"),
            },
            "lmenvs/Maze-v0?layout=u": {"min": Reference(-101.0, "no legal play does worse")},
            "lmenvs/Maze-v0?layout=u&observability=partial": {
                "min": Reference(-101.0, "no legal play does worse")
            },
        },
        measures={
            "lmenvs/Maze-v0": {
                "optimum": "optimum",
                "uniform": "uniform",
                "expert": "expert:1000",
            },
            "lmenvs/Maze-v0?observability=partial": {
                "optimum": "optimum",
                "belief": "belief",
                "uniform": "uniform",
                "expert": "expert:1000",
            },
            "lmenvs/Maze-v0?layout=u": {
                "average": "uniform",
                "max": "optimum",
                "expert": "expert:1000",
            },
            "lmenvs/Maze-v0?layout=u&observability=partial": {
                "average": "uniform",
                "optimum": "optimum",
                "max": "belief",
                "expert": "expert:1000",
            },
        },
        tags=frozenset({"exact", "navigation"}),
        variants=(
            "lmenvs/Maze-v0?layout=u&observability=partial",
            "lmenvs/Maze-v0?observability=partial",
        ),
    ),
    EnvSpec(
        id="lmenvs/FrozenLakeText-v0",
        entry_point="lmenvs.envs.navigation.frozen_lake:FrozenLakeText",
        summary="Cross a frozen lake to the goal on slippery or firm ice",
        turn_limit=100,
        return_range=(0.0, 1.0),
        references={
            name: {"min": Reference(0.0, "by the rules")}
            for name in (
                "lmenvs/FrozenLakeText-v0",
                "lmenvs/FrozenLakeText-v0?slippery=false",
                "lmenvs/FrozenLakeText-v0?map=8x8&turns=200",
            )
        },
        measures={
            "lmenvs/FrozenLakeText-v0": {
                "average": "uniform",
                "max": "optimum",
                "expert": "expert:1000",
            },
            "lmenvs/FrozenLakeText-v0?slippery=false": {
                "average": "uniform",
                "max": "optimum",
                "expert": "expert:10",
            },
            "lmenvs/FrozenLakeText-v0?map=8x8&turns=200": {
                "average": "uniform",
                "max": "optimum",
                "expert": "expert:1000",
            },
        },
        tags=frozenset({"exact", "navigation"}),
        variants=(
            "lmenvs/FrozenLakeText-v0?slippery=false",
            "lmenvs/FrozenLakeText-v0?map=8x8&turns=200",
            'lmenvs/FrozenLakeText-v0?map=["SFS","HFF","GFF"]&turns=7',
        ),
    ),
    EnvSpec(
        id="lmenvs/TextSokoban-v0",
        entry_point="lmenvs.envs.navigation.sokoban:TextSokoban",
        summary="Push boxes onto targets on small generated levels",
        turn_limit=30,
        # the least is -3; thirty times -0.1 is a little less in floating point
        return_range=(-3.000001, 10.9),
        references={
            "lmenvs/TextSokoban-v0": {
                "min": Reference(-3.0, "by the rules: 30 turns, and no box begins on a target"),
            },
            "lmenvs/TextSokoban-v0?boxes=2": {
                "min": Reference(-3.0, "by the rules: 30 turns, and no box begins on a target"),
            },
            "lmenvs/TextSokoban-v0?levels=4&turns=12": {
                "min": Reference(-1.2, "by the rules: 12 turns, and no box begins on a target"),
            },
        },
        measures={
            # the expert's solutions are shortest ones, which no play can beat
            "lmenvs/TextSokoban-v0": {
                "average": "random:1000",
                "max": "expert:1000",
                "expert": "expert:1000",
            },
            "lmenvs/TextSokoban-v0?boxes=2": {
                "average": "random:1000",
                "max": "expert:1000",
                "expert": "expert:1000",
            },
            "lmenvs/TextSokoban-v0?levels=4&turns=12": {
                "average": "uniform",
                "max": "optimum",
                "expert": "expert:100",
            },
        },
        tags=frozenset({"exact", "navigation", "items", "generated"}),
        variants=(
            "lmenvs/TextSokoban-v0?boxes=2&size=7&split=train&turns=50",
            "lmenvs/TextSokoban-v0?levels=4&turns=12",
        ),
    ),
)
