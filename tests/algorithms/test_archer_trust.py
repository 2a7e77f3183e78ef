import numpy as np
import pytest
from pytest import approx

from algorithms.credit import discounted_returns, explained_variance
from algorithms.utterances.critic import critic_of, judge, trustworthiness
from tests.algorithms.test_archer import CONFIG, READINGS, prepared, reading, values_of


@pytest.mark.parametrize("micro_tokens", [1, 10**6])
@pytest.mark.parametrize("name", READINGS)
def test_the_critic_is_trusted_by_returns_that_go_on_where_an_episode_was_cut(
    name: str, micro_tokens: int
):
    learner, seen, episodes = prepared(reading(name))
    judged = judge(learner, episodes, seen.tokens, micro_tokens)
    learner.target = critic_of(learner)[0]  # whose values `values_of` reads
    returns: list[float] = []
    values: list[float] = []
    for index, episode in enumerate(episodes):
        expected = values_of(learner, seen, index).min(-1).values.tolist()
        assert judged.values_ET[index].tolist() == approx(expected[:-1], abs=1e-4)
        assert judged.bootstraps_E[index] == approx(expected[-1], abs=1e-4)
        assert (judged.bootstraps_E[index] == 0.0) == episode.terminated
        rewards = [turn.reward for turn in episode.turns]
        returns += discounted_returns(rewards, CONFIG.discount, expected[-1]).tolist()
        values += expected[:-1]
    found = trustworthiness(episodes, judged, CONFIG.discount)
    assert found["critic/explained_variance"] == approx(
        explained_variance(values, returns), abs=1e-3
    )
    left = np.array(returns) - values
    share = explained_variance(np.concatenate(judged.advantages_ET), left)
    assert found["critic/advantage_explained_variance"] == approx(share, abs=1e-3)
