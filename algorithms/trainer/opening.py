"""How a run begins or goes on: its folder, its model, its learner (torch)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.critics import TurnCritic
from agents.devices import find_device
from agents.models import load_model

from .. import support
from ..trainer_state import write_state
from .config import Rates
from .learner import Judges, Learner, MakeCritic
from .plausible import PlausibleValues

DIVERGED = "diverged"  # the folder of what a run had become when its values could not be


@dataclass(frozen=True, slots=True)
class Judging:
    """Whether a learner has a critic, and of which kind.

    Attributes:
        judges: What it judges.
        learning_rate: Of the critic.
        critic: Makes it from the policy.
        target: Whether a frozen copy follows it.
    """

    judges: Judges = "nothing"
    learning_rate: float = 0.0
    critic: MakeCritic = TurnCritic
    target: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A run under way.

    Attributes:
        run: Its folder.
        learner: As it was saved last, or new.
        model: What the first model was read from.
        state: What the last checkpoint holds besides the learner's own; None for a new run.
    """

    run: support.Run
    learner: Learner
    model: str | Path
    state: Mapping[str, Any] | None


def open_learner(
    out: str | Path,
    given: Mapping[str, object],
    find_model: Callable[[Path], str | Path],
    config: Rates,
    judging: Judging,
    *,
    seed: int,
    entropy_bonus: float = 0.0,
    resume: bool,
    device: str,
) -> Opened:
    """Open the run folder and load or make what learns.

    Args:
        out: The run's folder.
        given: All that the run is made of, for its record.
        find_model: Says for the run's folder where its first model is.
        config: The algorithm's settings.
        judging: The critic.
        seed: Of the critic's heads and new adapters.
        entropy_bonus: See `Learner`.
        resume: Go on from the last checkpoint in `out`.
        device: Where everything is: "cpu", "cuda", "cuda:1".
    """
    where = find_device(device)
    run = support.open_run(out, given, resume=resume)
    state = run.load_state()
    model = find_model(run.path)
    with torch.random.fork_rng():
        support.seed_all(seed)
        language_model, chat = load_model(run.path / "checkpoints" if state else model)
        language_model.to(where)  # type: ignore[arg-type]
        learner = Learner(
            language_model,
            chat,
            config,
            judging.judges,
            judging.learning_rate,
            judging.critic,
            judging.target,
            entropy_bonus,
        )
    if state:
        learner.load(state)
    return Opened(run, learner, model, state)


def of_data(data: str | Path) -> dict[str, object]:
    """How a run's record names a file of episodes; another size is another file."""
    return {"data": str(data), "data_bytes": Path(data).stat().st_size}


def check_values(
    plausible: PlausibleValues, run: support.Run, learner: Learner, targets: Tensor, mask: Tensor
) -> None:
    """Look whether value targets, in the environment's own unit, can be.

    Raises:
        support.Diverged: if they could not for a while. What the run has become is written into a
            folder of its own; its checkpoints stay as they are.
    """
    try:
        plausible.check(targets, mask)
    except support.Diverged as error:
        folder = run.path / DIVERGED
        folder.mkdir(exist_ok=True)
        write_state(folder, learner.state())
        learner.save(folder)
        raise support.Diverged(f"{error}; the weights of now are in {folder}") from error
