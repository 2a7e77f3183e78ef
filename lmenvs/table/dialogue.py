"""Rows of the table: conversations with somebody who wants something."""

from ..spec import EnvSpec

_SELLERS = "lmenvs.envs.dialogue.car_dealer_seller"
_MEASURES = {
    "min": f"{_SELLERS}:worst:1000",
    "average": f"{_SELLERS}:dataset:1000",
    "naive": f"{_SELLERS}:naive:1000",
    "falling": f"{_SELLERS}:falling:1000",
    "uniform": "random:1000",
    "expert": "expert:1000",
    "max": f"bound:{_SELLERS}:most_worth:1000",
}

ROWS: tuple[EnvSpec, ...] = (
    EnvSpec(
        id="lmenvs/CarDealer-v0",
        entry_point="lmenvs.envs.dialogue.car_dealer:CarDealer",
        summary="Sell a car in free text to a buyer with a hidden budget and personality",
        turn_limit=25,
        return_range=(-5.21, 1.1),
        measures={
            "lmenvs/CarDealer-v0": _MEASURES,
            "lmenvs/CarDealer-v0?reward=price": _MEASURES,
        },
        tags=frozenset({"dialogue", "items"}),
        variants=(
            "lmenvs/CarDealer-v0?reward=price&split=train",
            "lmenvs/CarDealer-v0?reward=lmrl",
        ),
    ),
)
