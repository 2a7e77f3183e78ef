"""How the levels of a run begin or go on: one learner for both, or one for each (torch)."""

from pathlib import Path

import torch

from agents.folders import model_folder
from agents.hierarchical import Hierarchy
from agents.level_models import ACTOR_ADAPTER, PLANNER, with_planner_adapter
from agents.models import is_adapter, load_model

from .. import support
from ..reference import open_reference
from .learner import Learner
from .levels import KEPT, Group, Level, Levels
from .session import Session


def open_levels(
    session: Session, hierarchy: Hierarchy, start: str | Path, critic_learning_rate: float
) -> Levels:
    """The levels of a run that was just opened, new or as they were saved.

    Args:
        session: Its learner plays both levels, or the actor, or the one that is trained.
        hierarchy: How the levels are made up.
        start: The model that the run began with.
        critic_learning_rate: Of the critic of a planner with a learner of its own.

    Raises:
        ValueError: where nothing is trained, or the models cannot be made so.
    """
    config, learner = session.config, session.learner
    kinds: dict[Level, str] = {"planner": hierarchy.planner, "actor": hierarchy.actor}
    trained: tuple[Level, ...] = tuple(level for level, kind in kinds.items() if kind == "policy")
    if not trained:
        raise ValueError(
            f"planner {hierarchy.planner!r}, actor {hierarchy.actor!r}: expected one of them to be "
            "'policy', which is trained"
        )
    if len(trained) == 1 or hierarchy.models == "shared":
        return Levels(session, hierarchy, [Group(learner, trained)], start)
    if config.engine:
        raise ValueError(
            f"engine {config.engine!r} serves one model; with two levels give models 'shared', or "
            "leave the engine out"
        )
    adapters = hierarchy.models == "adapters"
    if adapters and not is_adapter(learner.model):
        raise ValueError("models 'adapters' with lora_rank 0; expected lora_rank of at least 1")
    kept = learner.kept.get(KEPT)
    saved = None if kept is None else session.path / "checkpoints"
    with torch.random.fork_rng():
        # other numbers than the first learner's, which are drawn from the seed itself
        support.seed_all(config.seed + 1)
        model, chat = learner.model, learner.chat
        if adapters:
            with_planner_adapter(model, saved)
            model.set_adapter(PLANNER)  # type: ignore[operator]  # peft's
        else:
            model, chat = load_model(_planners_start(start) if saved is None else saved / PLANNER)
            model.to(learner.model.device)  # type: ignore[arg-type]
        bonus = config.objective.entropy_bonus
        planner = Learner(model, chat, config, "turns", critic_learning_rate, entropy_bonus=bonus)
    if kept is not None:
        planner.load(kept["planner"][0])
    near = None
    if config.objective.reference_kl:
        near = open_reference(planner.model, planner.chat, start, config.objective.reference)
    groups = [
        Group(learner, ("actor",), ACTOR_ADAPTER if adapters else None),
        Group(planner, ("planner",), PLANNER if adapters else None, near),
    ]
    return Levels(session, hierarchy, groups, start)


def _planners_start(start: str | Path) -> str | Path:
    """The planner's own model where the run begins with that of an earlier run of two levels."""
    own = Path(model_folder(str(start)), PLANNER)
    return own if own.is_dir() else start
