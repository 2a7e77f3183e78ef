"""Rows of the table: bandits."""

from ..spec import EnvSpec, Reference

_ARITHMETIC = {
    "min": "the worst arm every time, by arithmetic",
    "average": "uniform play, by arithmetic",
    "max": "the best arm every time, by arithmetic",
}


def _bounds(least: float, average: float, most: float) -> dict[str, Reference]:
    values = {"min": least, "average": average, "max": most}
    return {name: Reference(value, _ARITHMETIC[name]) for name, value in values.items()}


def _seeing(episodes: int) -> dict[str, str]:
    """Recipes whose bounds are played by players who see what is hidden."""
    return {
        "min": f"lmenvs.envs.bandit.players:worst:{episodes}",
        "average": f"random:{episodes}",
        "max": f"lmenvs.envs.bandit.players:best:{episodes}",
        "expert": f"expert:{episodes}",
    }


ROWS: tuple[EnvSpec, ...] = (
    EnvSpec(
        id="lmenvs/BernoulliBandit-v0",
        entry_point="lmenvs.envs.bandit.bernoulli:BernoulliBandit",
        summary="Pull arms with unknown odds, and earn while finding them out",
        turn_limit=20,
        return_range=(0.0, 20.0),
        references={
            "lmenvs/BernoulliBandit-v0": _bounds(5.0, 7.0, 15.0),
            "lmenvs/BernoulliBandit-v0?horizon=300": _bounds(75.0, 105.0, 225.0),
            "lmenvs/BernoulliBandit-v0?arms=20&horizon=300": _bounds(75.0, 82.5, 225.0),
            "lmenvs/BernoulliBandit-v0?gap=0.2&horizon=1000": _bounds(400.0, 440.0, 600.0),
            "lmenvs/BernoulliBandit-v0?arms=20&gap=0.2&horizon=1000": _bounds(400.0, 410.0, 600.0),
            "lmenvs/BernoulliBandit-v0?arms=2&horizon=10": {
                "min": Reference(2.5, _ARITHMETIC["min"]),
            },
        },
        measures={
            "lmenvs/BernoulliBandit-v0": {"expert": "expert:1000", "optimum": "optimum"},
            "lmenvs/BernoulliBandit-v0?horizon=300": {"expert": "expert:1000"},
            "lmenvs/BernoulliBandit-v0?arms=20&horizon=300": {"expert": "expert:1000"},
            "lmenvs/BernoulliBandit-v0?gap=0.2&horizon=1000": {"expert": "expert:200"},
            "lmenvs/BernoulliBandit-v0?arms=20&gap=0.2&horizon=1000": {"expert": "expert:200"},
            "lmenvs/BernoulliBandit-v0?arms=2&horizon=10": {
                "average": "uniform",
                "max": "belief",
                "belief": "belief",
                "optimum": "optimum",
                "expert": "expert:1000",
            },
        },
        tags=frozenset({"exact", "bandit"}),
        variants=(
            "lmenvs/BernoulliBandit-v0?context=guided&arms=3",
            "lmenvs/BernoulliBandit-v0?context=summary&means=[0.1,0.9]&scenario=machines",
            "lmenvs/BernoulliBandit-v0?arms=20&gap=0.2&horizon=1000&scenario=videos",
        ),
    ),
    EnvSpec(
        id="lmenvs/GaussianBandit-v0",
        entry_point="lmenvs.envs.bandit.gaussian:GaussianBandit",
        summary="Pull arms that pay amounts around unknown means",
        turn_limit=20,
        # noise ends at six standard deviations of 1/3
        return_range=(-35.0, 55.0),
        references={
            "lmenvs/GaussianBandit-v0": _bounds(5.0, 7.0, 15.0),
            "lmenvs/GaussianBandit-v0?horizon=300": _bounds(75.0, 105.0, 225.0),
            "lmenvs/GaussianBandit-v0?arms=20&gap=0.2&horizon=1000": _bounds(400.0, 410.0, 600.0),
        },
        measures={
            "lmenvs/GaussianBandit-v0": {"expert": "expert:1000"},
            "lmenvs/GaussianBandit-v0?horizon=300": {"expert": "expert:1000"},
            "lmenvs/GaussianBandit-v0?arms=20&gap=0.2&horizon=1000": {"expert": "expert:200"},
            "lmenvs/GaussianBandit-v0?horizon=300&sigma=1&spread=1": _seeing(1000),
            "lmenvs/GaussianBandit-v0?arms=20&horizon=300&sigma=1&spread=1": _seeing(1000),
            "lmenvs/GaussianBandit-v0?horizon=1000&sigma=3&spread=3": _seeing(200),
            "lmenvs/GaussianBandit-v0?arms=20&horizon=1000&sigma=3&spread=3": _seeing(200),
        },
        tags=frozenset({"bandit"}),
        variants=(
            "lmenvs/GaussianBandit-v0?context=guided&arms=3&scenario=ads",
            "lmenvs/GaussianBandit-v0?context=summary&spread=3&sigma=3",
        ),
    ),
    EnvSpec(
        id="lmenvs/ContextualBandit-v0",
        entry_point="lmenvs.envs.bandit.contextual:ContextualBandit",
        summary="Recommend films to visitors whose taste is told in numbers",
        turn_limit=200,
        return_range=(0.0, 1000.0),
        measures={
            "lmenvs/ContextualBandit-v0": _seeing(1000),
            "lmenvs/ContextualBandit-v0?arms=30": _seeing(1000),
        },
        tags=frozenset({"bandit"}),
        variants=(
            "lmenvs/ContextualBandit-v0?arms=4&context=guided&horizon=30",
            "lmenvs/ContextualBandit-v0?arms=30&context=summary&features=8",
        ),
    ),
)
