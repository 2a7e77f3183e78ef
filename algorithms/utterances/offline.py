"""ArCHer's critic on a file: its unit, and a step that asks only for what was said (torch)."""

from collections.abc import Sequence

import numpy as np

from lmenvs.types import Episode

from ..batch import TokenBatch
from ..trainer.offline import OfflineSession
from .critic import CriticOptions, credit, critic_of, set_unit, update_critic
from .situations import look_at

MEASURED = 512  # episodes of the file that tell the unit of values


def prepare_unit(session: OfflineSession, discount: float) -> None:
    """Let the heads' unit be the mean and spread of the file's returns to come."""
    count = min(MEASURED, len(session.data))
    numbers = np.linspace(0, len(session.data) - 1, count).round().astype(np.int64)
    set_unit(session.learner, session.data.read(numbers), discount)


def step_on_data(
    session: OfflineSession,
    episodes: Sequence[Episode],
    batch: TokenBatch,
    options: CriticOptions,
    discount: float,
) -> dict[str, float]:
    """One critic step on episodes of the file, and one of its target."""
    config, learner, critic = session.config, session.learner, critic_of(session.learner)[0]
    seen = look_at(batch, None, episodes, learner.chat, critic)
    targets = credit(
        learner,
        seen,
        episodes,
        options,
        discount,
        micro_tokens=config.micro_tokens,
    )
    session.check(targets.q, batch.turn_mask[..., None])
    return update_critic(
        learner,
        seen,
        targets,
        options,
        config.max_norm,
        micro_tokens=config.micro_tokens,
        checkpointing=config.gradient_checkpointing,
    )
