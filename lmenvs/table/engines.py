"""Rows of the table: worlds that run in engines of others."""

from ..spec import EnvSpec, Reference

_RULES = "by the rules"

ROWS: tuple[EnvSpec, ...] = (
    EnvSpec(
        id="lmenvs/BabyAI-v0",
        entry_point="lmenvs.envs.engines.babyai:BabyAI",
        summary="Do what a mission in plain language says, in a grid world told in words",
        turn_limit=128,
        return_range=(0.0, 1.0),
        references={
            "lmenvs/BabyAI-v0": {
                "min": Reference(0.0, _RULES),
                "max": Reference(1.0, _RULES),
            },
        },
        measures={
            "lmenvs/BabyAI-v0": {"average": "random:1000", "expert": "expert:1000"},
        },
        tags=frozenset({"text-game", "navigation", "generated", "engine"}),
        extra="minigrid",
        variants=("lmenvs/BabyAI-v0?level=SynthSeq&reward=timed&split=test&turn_limit=400",),
    ),
    EnvSpec(
        id="lmenvs/Jericho-v0",
        entry_point="lmenvs.envs.engines.jericho:Jericho",
        summary="Play a text adventure from your own story file (a small one to try out without)",
        turn_limit=100,
        return_range=(0.0, 1.0),
        references={
            "lmenvs/Jericho-v0?path=example": {
                "min": Reference(0.0, _RULES),
                "max": Reference(1.0, _RULES),
            },
        },
        measures={"lmenvs/Jericho-v0?path=example": {"expert": "expert:10"}},
        tags=frozenset({"text-game", "engine"}),
        extra="textworld",
        kwargs={"path": "example"},
        variants=("lmenvs/Jericho-v0?path=example&chance=drawn&turn_limit=12",),
    ),
    EnvSpec(
        id="lmenvs/ALFWorld-v0",
        entry_point="lmenvs.envs.engines.alfworld:ALFWorld",
        summary="Do household tasks with ALFWorld's data (small games to try out without)",
        turn_limit=50,
        return_range=(0.0, 1.0),
        references={
            "lmenvs/ALFWorld-v0?data=example": {
                "min": Reference(0.0, _RULES),
                "max": Reference(1.0, _RULES),
            },
        },
        measures={
            "lmenvs/ALFWorld-v0?data=example": {"average": "random:200", "expert": "expert:200"},
        },
        tags=frozenset({"text-game", "textworld", "items", "engine"}),
        extra="alfworld",
        kwargs={"data": "example"},
        variants=("lmenvs/ALFWorld-v0?data=example&split=test&tasks=[1,6]&admissible=true",),
    ),
    EnvSpec(
        id="lmenvs/ScienceWorld-v0",
        entry_point="lmenvs.envs.engines.scienceworld:ScienceWorld",
        summary="Do experiments of school science in ScienceWorld's simulator",
        turn_limit=100,
        return_range=(-1.0, 1.0),
        references={
            "lmenvs/ScienceWorld-v0": {
                "min": Reference(-1.0, _RULES),
                "max": Reference(1.0, _RULES),
            },
        },
        measures={
            "lmenvs/ScienceWorld-v0": {
                # even play soon spoils every task, which is the minimum
                "average": "lmenvs.envs.engines.scienceworld:slow:30",
                "uniform": "random:30",
                "expert": "expert:30",
            }
        },
        tags=frozenset({"text-game", "items", "engine"}),
        extra="scienceworld",
        variants=("lmenvs/ScienceWorld-v0?task=lifespan-longest-lived&split=test",),
    ),
)
