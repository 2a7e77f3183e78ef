"""The main job, end to end, for `make demo`: a tiny language model learns TextWorld here.

1. Make a tiny causal LM and clone it on scripted, imperfect play of training games.
2. Train it with turn-level PPO and with ArCHer, side by side, one process and one thread each.
3. Evaluate start, trained, random and expert on held-out games with paired seeds.
4. Write the report, and the trained model as an ordinary `from_pretrained` folder.

Every stage goes on where an earlier call stopped; a finished demo is only evaluated again.
"""

import argparse
import json
import multiprocessing
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agents.secrets import masked
from agents.threads import usable_cpus
from lmenvs.types import Episode

from . import support
from .commands.evaluation import print_scores

GAMES = "lmenvs/TextWorldCoinCollector-v0?admissible=true&description=name&level=104"
TRAINING_GAMES = GAMES + "&games=256&relabel=true"
"""Training games with map and room names exchanged afresh in every episode, so that they cannot be
remembered; held-out games are played as they are."""
HELD_OUT_GAMES = GAMES + "&first_game=256&games=192"
"""The other games of the package: no choice made for this demo has looked at them."""

DEMONSTRATOR = "script:never-go-back?noise=0.45"
EVALUATION_SEED = 1_000_000
GOAL = 0.9
LONGEST_ACTION = 8  # tokens; a command of these games takes two with the stop token


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything; `SMOKE` is the same path in miniature."""

    demonstrations: int
    clone_epochs: int
    ppo_iterations: int
    ppo_episodes: int
    archer_iterations: int
    archer_episodes: int
    archer_critic_steps: int
    archer_critic_batch: int
    evaluation_episodes: int


FULL = Sizes(2000, 4, 36, 128, 18, 96, 12, 32, 192)
SMOKE = Sizes(128, 3, 2, 16, 2, 12, 2, 8, 16)


def pretrain(out: Path, seed: int, sizes: Sizes) -> None:
    """Stage 1: the tiny model, cloned."""
    from .behaviour_cloning import Config, TinyConfig
    from .behaviour_cloning import pretrain as make

    clone = Config(
        seed=seed,
        demonstrator=DEMONSTRATOR,
        episodes=sizes.demonstrations,
        epochs=sizes.clone_epochs,
        batch_size=8,  # with 16 and half as many steps, one seed of three learned no commands
        observation_weight=0.1,  # learns to copy and to remember in a fifth of the steps
    )
    make(TRAINING_GAMES, out / "start", TinyConfig(hidden=128, clone=clone), resume=True)


def train_turn_ppo(out: Path, seed: int, sizes: Sizes) -> None:
    """Stage 2a: turn-level PPO from the cloned model."""
    from .turn_ppo import Config, train

    config = Config(
        seed=seed,
        iterations=sizes.ppo_iterations,
        episodes=sizes.ppo_episodes,
        max_new_tokens=LONGEST_ACTION,
    )
    train(TRAINING_GAMES, out / "start" / "checkpoints", out / "turn_ppo", config, resume=True)


def train_archer(out: Path, seed: int, sizes: Sizes) -> None:
    """Stage 2b: ArCHer from the cloned model."""
    from .archer import Config, train
    from .utterances.critic import CriticOptions

    config = Config(
        seed=seed,
        iterations=sizes.archer_iterations,
        episodes=sizes.archer_episodes,
        critic=CriticOptions(),  # quicker than ArCHer's own, with which play got worse here
        critic_steps=sizes.archer_critic_steps,
        warmup_iterations=max(1, sizes.archer_iterations // 6),
        batch_size=sizes.archer_critic_batch,
        siblings=2,
        learning_rate=3e-4,
        max_new_tokens=LONGEST_ACTION,
    )
    train(TRAINING_GAMES, out / "start" / "checkpoints", out / "archer", config, resume=True)


TRAINERS: dict[str, Callable[[Path, int, Sizes], None]] = {
    "turn_ppo": train_turn_ppo,
    "archer": train_archer,
}


def _in_process(name: str, out: Path, seed: int, sizes: Sizes) -> None:
    """One trainer in a process of its own: one thread, its words in a log beside its folder."""
    log = (out / f"{name}.log").open("a", encoding="utf-8", buffering=1)
    with log, redirect_stderr(log):
        support.set_threads(1)
        try:
            TRAINERS[name](out, seed, sizes)
        except support.Interrupted:
            sys.exit(130)


def train_all(out: Path, seed: int, sizes: Sizes) -> None:
    """Stage 2: both trainers beside each other, with one progress bar over their iterations.

    Raises:
        RuntimeError: if a trainer failed; it names the log.
        Interrupted: after Ctrl-C, once both have saved their checkpoints.
    """
    context = multiprocessing.get_context("spawn")
    total = sizes.ppo_iterations + sizes.archer_iterations
    workers = {
        name: context.Process(target=_in_process, args=(name, out, seed, sizes), name=name)
        for name in TRAINERS
    }
    with support.interruptible() as stop, support.progress("training", total) as advance:
        for worker in workers.values():
            worker.start()
        shown = 0
        while any(worker.is_alive() for worker in workers.values()):
            time.sleep(0.5)
            if stop.requested:  # a terminal has told them already; `kill` told only this process
                for worker in workers.values():
                    worker.terminate()
                stop.requested = False
                for worker in workers.values():
                    worker.join()
                stop.requested = True
            last = {name: _metrics(out / name) for name in TRAINERS}
            done = sum(len(rows) for rows in last.values())
            success = {
                name: float(rows[-1]["rollout/success"]) for name, rows in last.items() if rows
            }
            advance(done - shown, **success)
            shown = done
    for name, worker in workers.items():
        if worker.exitcode:
            raise RuntimeError(f"{name} ended with code {worker.exitcode}; see {out / name}.log")


def _metrics(folder: Path) -> list[dict[str, Any]]:
    file = folder / "metrics.jsonl"
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.endswith("}")]


def evaluate(out: Path, sizes: Sizes) -> dict[str, Any]:
    """Stage 3: every policy on the same held-out tasks; sampled, and greedy beside it."""
    from agents import make_policy
    from agents.rollout import evaluate as play

    folders = {name: out / name / "checkpoints" for name in ("start", *TRAINERS)}
    specs = {"random": "random", "expert": "expert"}
    for name, folder in folders.items():
        specs[name] = f"hf:{folder}?max_new_tokens={LONGEST_ACTION}"
        specs[f"{name} (greedy)"] = f"hf:{folder}?max_new_tokens={LONGEST_ACTION}&temperature=0"
    results: list[dict[str, Any]] = []
    shown: list[Episode] = []
    tasks: set[str] = set()
    with support.progress("evaluation", len(specs) * sizes.evaluation_episodes) as advance:
        for name, spec in specs.items():
            report = play(
                HELD_OUT_GAMES,
                make_policy(spec),
                episodes=sizes.evaluation_episodes,
                seed=EVALUATION_SEED,
                split="test",
                name=name,
                width=64,
                on_episode=lambda episode: advance(1),
            )
            results.append(report.summary())
            tasks |= {str(episode.turns[0].state_key) for episode in report.episodes}
            if "greedy" not in name:
                shown += report.episodes[:4]
    return {"results": results, "distinct_games": len(tasks), "episodes": shown}


def best_trained(results: list[dict[str, Any]]) -> str:
    """The trainer whose policy is most successful as sampled."""
    success = {row["policy"]: row["success"]["mean"] for row in results}
    return max(TRAINERS, key=lambda name: success[name])


def notes(results: list[dict[str, Any]], distinct: int, out: Path) -> list[str]:
    """What the report says above the curves, from the numbers that were measured."""
    by_name = {row["policy"]: row["success"] for row in results}

    def said(name: str) -> str:
        return "{mean:.1%} [{low:.1%}, {high:.1%}]".format(**by_name[name])

    best = best_trained(results)
    other = next(name for name in TRAINERS if name != best)
    reached = "reaches" if by_name[best]["mean"] >= GOAL else "does not reach"
    rows = _metrics(out / "archer")
    moved = sum("actor/advantage_std" in row for row in rows)
    explained = rows[-1]["critic/explained_variance"]
    share = sum(row["critic/advantage_explained_variance"] for row in rows) / len(rows)
    return [
        f"A language model with 0.7 million weights, made on the spot, learns to find a coin "
        f"in houses of TextWorld. Held-out success as sampled: {said('start')} after cloning "
        f"imperfect play, {said(best)} after {best}, on {distinct} distinct games that no training "
        f"saw. It {reached} the goal of {GOAL:.0%}.",
        f"{best} is the model in checkpoints/; {other} comes to {said(other)}. ArCHer's critic "
        f"explains {explained:.0%} of the variance of the returns; its advantages, the difference "
        f"of two estimates, explain {share:.1%} of what its values leave open (mean over the run). "
        "The actor rests while the critic warms up: it moves in "
        f"{moved} of {len(rows)} iterations here. Turn-level PPO measures the same advantage from "
        "rewards, without a model of what actions are worth.",
        "The games are TextWorld's coin collector at level 104, a chain of four rooms each with a "
        "dead end, 12 turns. Games are held out, routes are not: few distinct routes exist.",
    ]


def finish(out: Path, run: support.Run, scores: dict[str, Any]) -> None:
    """Stage 4: the report and the checkpoint."""
    from . import report

    results = scores["results"]
    run.episodes(scores["episodes"])
    summary = {"results": results, "distinct_games": scores["distinct_games"]}
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    best = best_trained(results)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    training_state = shutil.ignore_patterns("trainer.*", "progress.json", "replay.jsonl")
    shutil.copytree(out / best / "checkpoints", out / "checkpoints", ignore=training_state)
    folders = [out, *(out / name for name in TRAINERS), out / "start"]
    text = notes(results, scores["distinct_games"], out)
    page = report.build(
        folders, out / "report.html", title="A tiny language model learns TextWorld", notes=text
    )
    print_scores(results)
    print(text[0])
    print(f"report: {page}    model: {out / 'checkpoints'}")


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="algorithms.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument("--seed", type=int, default=0, help="of weights, play and training")
    parser.add_argument("--smoke", action="store_true", help="the same path in miniature")
    given = parser.parse_args(arguments)
    sizes = SMOKE if given.smoke else FULL
    began = time.monotonic()
    try:
        run = support.open_run(
            given.out, {"command": "demo", "seed": given.seed, **asdict(sizes)}, resume=True
        )
        support.set_threads(min(2, usable_cpus()))
        pretrain(given.out, given.seed, sizes)
        train_all(given.out, given.seed, sizes)
        finish(given.out, run, evaluate(given.out, sizes))
    except support.Interrupted:
        print(f"stopped; the same command goes on from {given.out}", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"demo: {masked(str(error))}", file=sys.stderr)
        return 2
    print(f"{time.monotonic() - began:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
