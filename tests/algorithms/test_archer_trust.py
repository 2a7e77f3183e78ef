from dataclasses import replace

import numpy as np
import pytest
from pytest import approx

from algorithms.archer_critic import judge, trustworthiness
from algorithms.credit import discounted_returns, explained_variance
from tests.algorithms.test_archer import CONFIG, prepared, values_of


@pytest.mark.parametrize("micro_tokens", [1, 10**6])
def test_the_critic_is_trusted_by_returns_that_go_on_where_an_episode_was_cut(micro_tokens: int):
    config = replace(CONFIG, micro_tokens=micro_tokens)
    learner, _, episodes = prepared()
    learner.target = learner.critic  # whose values `values_of` reads
    judged = judge(learner, episodes, config)
    returns: list[float] = []
    values: list[float] = []
    for index, episode in enumerate(episodes):
        expected = values_of(learner, episode).min(-1).values.tolist()
        assert judged.values_ET[index].tolist() == approx(expected[:-1], abs=1e-4)
        assert judged.bootstraps_E[index] == approx(expected[-1], abs=1e-4)
        assert (judged.bootstraps_E[index] == 0.0) == episode.terminated
        rewards = [turn.reward for turn in episode.turns]
        returns += discounted_returns(rewards, config.discount, expected[-1]).tolist()
        values += expected[:-1]
    found = trustworthiness(episodes, judged, config.discount)
    assert found["critic/explained_variance"] == approx(
        explained_variance(values, returns), abs=1e-3
    )
    left = np.array(returns) - values
    share = explained_variance(np.concatenate(judged.advantages_ET), left)
    assert found["critic/advantage_explained_variance"] == approx(share, abs=1e-3)
