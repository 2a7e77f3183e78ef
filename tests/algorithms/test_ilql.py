from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest import approx

from agents import make_policy
from agents.guidance import Guide, guide_for, load_guide
from agents.lm import LMPolicy
from agents.models import load_model
from agents.rollout import collect
from algorithms import ilql
from algorithms.support import Diverged
from algorithms.token_values.network import Values, guided, pieces, prepare
from algorithms.token_values.pieces import Piece, piece_of, returns_of
from algorithms.token_values.reading import Judged, judge, see
from algorithms.trainer.offline import OfflineSession, open_offline
from lmenvs.types import Episode, write_episodes
from tests.support.language import with_random_heads
from tests.support.training import MICROWAVE, beginner, flat, metrics, played, start

SHORT = ilql.Config(iterations=3, steps=3, batch_size=4, evaluations=4, warmup_iterations=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "episodes.jsonl"
    write_episodes(file, collect(MICROWAVE, "random", range(48)))
    return file


def opened(out: Path, data: Path, config: ilql.Config = SHORT) -> OfflineSession:
    """A session whose heads say something."""
    session = open_offline(
        *("ilql", MICROWAVE, data, start(), out, config),
        judges="tokens",
        critic_learning_rate=config.values.heads_learning_rate,
        critic=guide_for,
        target=True,
    )
    prepare(session, config.values)
    for heads in (session.learner.critic, session.learner.target):
        assert isinstance(heads, Guide)
        with_random_heads(heads)
    return session


def whole(episodes: Sequence[Episode]) -> list[Piece]:
    return [Piece(one, None if one.truncated else 0.0) for one in episodes]


def credited(
    episode: Episode,
    values_TL: list[np.ndarray],
    behind: float,
    **fields: object,
) -> list[list[float]]:
    """Q's targets of one episode, with V as given."""
    lam = float(fields.pop("lam", 0.0))  # type: ignore[arg-type]
    config = ilql.Config(values=Values(**{"discount": 0.5, **fields}), lam=lam)  # type: ignore[arg-type]
    nothing = torch.zeros(1, 1)
    judged = Judged([values_TL], [behind], nothing, nothing)
    (targets_TL,) = ilql.credit(whole([episode]), judged, config)
    return [targets_L.tolist() for targets_L in targets_TL]


def two_turns(*, truncated: bool) -> Episode:
    """Two turns of two and three policy tokens that earn 1 and 2."""
    episode = next(one for one in played() if len(one.turns) > 1)
    turns = [
        replace(turn, reward=reward, action=replace(turn.action, token_ids=ids, logprobs=()))
        for turn, reward, ids in zip(episode.turns, (1.0, 2.0), ((5, 1), (5, 6, 1)), strict=False)
    ]
    return replace(episode, turns=tuple(turns), terminated=not truncated, truncated=truncated)


VALUES = [np.array([10.0, 20.0]), np.array([30.0, 40.0, 50.0])]


def test_one_step_targets_skip_what_was_read_and_discount_between_turns():
    ended = credited(two_turns(truncated=False), VALUES, behind=0.0)
    assert ended == [[20.0, 1 + 0.5 * 30], [40.0, 50.0, 2.0]]


def test_truncation_bootstraps_and_termination_does_not():
    cut = credited(two_turns(truncated=True), VALUES, behind=100.0)
    assert cut == [[20.0, 16.0], [40.0, 50.0, 2 + 0.5 * 100]]


def test_a_discount_per_token_acts_inside_a_turn_too():
    cut = credited(two_turns(truncated=True), VALUES, behind=100.0, unit="token")
    assert cut == [[10.0, 16.0], [20.0, 25.0, 52.0]]


def test_lambda_mixes_in_what_followed():
    # the last token's target is 52; before it half of V' and half of the target behind
    cut = credited(two_turns(truncated=True), VALUES, behind=100.0, lam=0.5)
    assert cut[1] == [0.5 * 40 + 0.5 * 51.0, 0.5 * 50 + 0.5 * 52, 52.0]
    returns = credited(two_turns(truncated=True), VALUES, behind=100.0, lam=1.0)
    assert returns == [[27.0, 27.0], [52.0, 52.0, 52.0]]


def long_episode(*, truncated: bool = False) -> Episode:
    """Ten turns that earn 1, 2, 3, ..."""
    episode = two_turns(truncated=truncated)
    turns = [
        replace(episode.turns[0 if n == 0 else 1], reward=n + 1.0, observation=f"Round {n}.")
        for n in range(10)
    ]
    return replace(episode, turns=tuple(turns))


def test_a_piece_is_an_episode_whose_end_knows_what_followed():
    episode, chance = long_episode(), np.random.default_rng(0)
    _, chat = beginner()
    wanted = [returns_L[0] for returns_L in returns_of(episode, 0.5, "turn")]
    counts = np.zeros(10)
    for _ in range(400):
        piece = piece_of(episode, 4, 0.5, "turn", chat, chance)
        first = int(piece.episode.turns[0].reward) - 1
        counts[first : first + 4] += 1
        assert [turn.reward for turn in piece.episode.turns] == [first + n + 1 for n in range(4)]
        assert piece.behind is not None
        again = returns_of(piece.episode, 0.5, "turn", piece.behind)
        assert [returns_L[0] for returns_L in again] == approx(wanted[first : first + 4])
        assert piece.episode.truncated == (first < 6) != piece.episode.terminated
        if first < 6:
            assert piece.episode.final_observation == f"Round {first + 4}."
        if first:
            prompt = chat.decode(piece.episode.turns[0].action.prompt_ids)
            assert prompt.startswith(episode.instructions[:20]) and f"Round {first}." in prompt
    assert counts.min() > 0.2 * 400  # the ends are seen, too
    assert piece_of(episode, None, 0.5, "turn", chat, chance) == Piece(episode, 0.0)
    assert piece_of(episode, 10, 0.5, "turn", chat, chance) == Piece(episode, 0.0)


def test_behind_a_piece_of_a_truncated_episode_nobody_knows_what_followed():
    _, chat = beginner()
    for seed in range(5):
        chance = np.random.default_rng(seed)
        piece = piece_of(long_episode(truncated=True), 4, 0.5, "turn", chat, chance)
        assert piece.behind is None and piece.episode.truncated


def judged_of(session: OfflineSession, episodes: Sequence[Episode]) -> Judged:
    batch, slow = session.batch(episodes), session.learner.target
    assert isinstance(slow, Guide)
    return judge(slow, batch, see(session.learner.model, batch), len(episodes))


def test_a_value_has_not_seen_the_token_it_precedes(tmp_path: Path, data: Path):
    session = opened(tmp_path / "run", data)
    episode = session.draw(np.random.default_rng(0), count=1)[0]
    last = episode.turns[-1]
    other = replace(last.action, token_ids=(*last.action.token_ids[:-1], 7))
    changed = replace(episode, turns=(*episode.turns[:-1], replace(last, action=other)))
    one, two = (judged_of(session, [e]) for e in (episode, changed))
    for mine, theirs in zip(one.values_ETL[0], two.values_ETL[0], strict=True):
        assert mine == approx(theirs, abs=1e-5)
    assert not torch.allclose(one.q, two.q)  # what the token is worth has changed


def test_the_value_behind_a_cut_is_read_behind_the_last_observation(tmp_path: Path, data: Path):
    session = opened(tmp_path / "run", data)
    drawn = session.draw(np.random.default_rng(0))
    cut = [replace(e, terminated=False, truncated=True) for e in drawn]
    ended = [replace(e, terminated=True, truncated=False) for e in cut]
    behind = judged_of(session, cut).behind_E
    assert all(value != 0 for value in behind)
    assert judged_of(session, ended).behind_E == [0.0] * len(ended)
    moved = [replace(e, final_observation="Something else.") for e in cut]
    assert judged_of(session, moved).behind_E != behind


def descent(
    session: OfflineSession, seed: int = 0, **fields: object
) -> tuple[torch.Tensor, torch.Tensor]:
    """How one step of plain descent moves heads and model."""
    config = replace(SHORT, **fields)  # type: ignore[arg-type]
    learner = session.learner
    assert learner.critic is not None
    before = flat(learner.critic), flat(learner.model)
    learner.optimizer = torch.optim.SGD(learner.trained, lr=1.0)
    learner.critic_optimizer = torch.optim.SGD(learner.critic.parameters(), lr=1.0)
    ilql.update(session, config, False, np.random.default_rng(seed))
    return flat(learner.critic) - before[0], flat(learner.model) - before[1]


def test_micro_batches_add_up_to_the_gradient_of_the_whole(tmp_path: Path, data: Path):
    at_once = replace(SHORT, micro_tokens=10**6, max_norm=1e9)
    one = opened(tmp_path / "one", data, at_once)
    two = opened(tmp_path / "two", data, replace(at_once, micro_tokens=1))
    for mine, theirs in zip(descent(one), descent(two), strict=True):
        assert float(mine.abs().max()) > 1e-3
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-3)


def test_the_trunk_learns_from_values_and_each_is_clipped_apart(tmp_path: Path, data: Path):
    sizes: list[tuple[float, float]] = []
    for side, norm in (("free", 1e9), ("clipped", 0.5)):
        moved = descent(opened(tmp_path / side, data, replace(SHORT, max_norm=norm)))
        sizes.append((float(moved[0].norm()), float(moved[1].norm())))
    assert min(sizes[0]) > 0.5
    assert sizes[1] == approx((0.5, 0.5), rel=1e-3)


def test_imitation_weighs_what_was_better_than_expected(tmp_path: Path, data: Path):
    """At a high temperature all weigh alike, at a low one the trunk is pulled elsewhere."""
    ways = [
        descent(opened(tmp_path / str(n), data, replace(SHORT, max_norm=1e9)), temperature=one)[1]
        for n, one in enumerate((None, 1e6, 0.5))
    ]
    torch.testing.assert_close(ways[0], ways[1], atol=1e-4, rtol=1e-3)
    assert not torch.allclose(ways[0], ways[2], atol=1e-2)


def test_a_run_leaves_a_folder_that_plays_with_its_values(tmp_path: Path, data: Path):
    run = ilql.train(MICROWAVE, start(), tmp_path / "run", SHORT, data=data)
    found, alone = make_policy(f"hf:{run}"), make_policy(f"hf:{run}?strength=0")
    assert isinstance(found, LMPolicy) and isinstance(alone, LMPolicy)
    model, _ = load_model(run)
    assert torch.equal(flat(found.model), flat(model))
    guide = load_guide(run, model)
    assert guide is not None and guide.strength == SHORT.values.strength
    # Microwave pays between -1 and 1
    assert -1 < float(guide.offset) < 1 and 0 < float(guide.scale) < 1
    rows = metrics(run)
    assert [row["rollout/episodes"] for row in rows] == [4, 4, 4]
    assert {"loss/q_error", "loss/v_error", "loss/conservative", "loss/critic_grad_norm"} <= set(
        rows[0]
    )


def test_without_a_model_one_is_made_and_learns(tmp_path: Path, data: Path):
    run = ilql.train(MICROWAVE, None, tmp_path / "run", replace(SHORT, evaluations=0), data=data)
    assert make_policy(f"hf:{run}").version == 0


def test_adapters_are_trained_with_values_beside_them(tmp_path: Path, data: Path):
    config = replace(SHORT, lora_rank=2, iterations=1)
    run = ilql.train(MICROWAVE, start(), tmp_path / "run", config, data=data)
    assert (run / "checkpoints" / "adapter_config.json").exists()
    assert isinstance(make_policy(f"hf:{run}"), LMPolicy)


def test_values_that_cannot_be_stop_the_run(tmp_path: Path, data: Path):
    session = opened(tmp_path / "run", data)
    target = session.learner.target
    assert isinstance(target, Guide)
    target.offset.fill_(1e4)
    config, generator = replace(SHORT, polyak=1e-6), np.random.default_rng(0)
    with pytest.raises(Diverged, match="what the environment can pay"):
        for _ in range(20):
            ilql.update(session, config, False, generator)


def test_the_policy_that_is_logged_is_guided(tmp_path: Path, data: Path):
    session = opened(tmp_path / "run", data)
    guide = session.learner.critic
    assert isinstance(guide, Guide)
    policy = guided(session, guide, version=3)
    assert policy.version == 3 and policy._shift == guide.shift


def test_a_step_draws_pieces_of_the_file(tmp_path: Path, data: Path):
    session = opened(tmp_path / "run", data)
    drawn = pieces(session, Values(turns=2), np.random.default_rng(0))
    assert len(drawn) == 4 and all(len(one.episode.turns) <= 2 for one in drawn)
    assert any(one.episode.truncated for one in drawn)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"expectile": 1.0}, "expectile 1.0"),
        ({"lam": 1.5}, "lam 1.5"),
        ({"polyak": 0.0}, "polyak 0.0"),
        ({"temperature": 0.0}, "temperature 0.0"),
        ({"steps": 0}, "steps"),
    ],
)
def test_impossible_settings_are_refused(fields: dict[str, float], said: str):
    with pytest.raises(ValueError, match=said):
        ilql.Config(**fields)  # type: ignore[arg-type]
    for wrong in ({"discount": 2.0}, {"unit": "word"}, {"turns": 0}, {"strength": -1.0}):
        with pytest.raises(ValueError, match="expected"):
            Values(**wrong)  # type: ignore[arg-type]
