"""`lmenvs bench`: the speeds of this machine."""

import json
import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import tyro

from agents.secrets import masked_arguments

from .. import support
from ..bench.kept import finished
from .browse import write_new
from .evaluation import print_table


@dataclass(frozen=True, slots=True)
class Bench:
    """Measure this machine: environment steps, sampled and trained tokens a second, demo memory.

    The part `textworld` plays the same games in textworld.gym, for comparison. The part `engine`
    sets rollouts and training beside what else there is, in about half an hour with one thread; it
    is no part of `all`, and goes on where it was stopped.

    The part `credit` compares every credit estimator with exact truth at equal cost, in about ten
    minutes with one thread; no part of `all` either, and it goes on where it was stopped.

    The part `critic` fits critics on tiny decoders in many ways and compares them with exact
    values, a minute for each cell; no part of `all`. It runs the cells that --out does not hold.

    Examples:
      lmenvs bench
      lmenvs bench env --out runs/bench.json
      lmenvs bench engine --out runs/engine.json
      lmenvs bench engine --device cuda --out runs/engine-gpu.json
      lmenvs bench credit --out runs/credit.json
      lmenvs bench credit --only Microwave "Maze u" --budgets 8 64 --samples 4
      lmenvs bench critic --out runs/critic.json
      lmenvs bench critic --only "maze / default"
    """

    part: Annotated[
        Literal[
            "env", "textworld", "sampling", "training", "demo", "engine", "credit", "critic", "all"
        ],
        tyro.conf.Positional,
    ] = "all"
    """What to measure."""
    seed: int = 0  # seeds tasks, actions and the models; credit: the first of three
    seconds: float = 1.0  # how long each measurement takes at least (engine: has its own times)
    device: str = "cpu"  # engine: cuda measures a model of 0.5 billion parameters as well
    only: tuple[str, ...] = ()  # credit, critic: these environments, parts or cells; all by default
    budgets: tuple[int, ...] = ()  # credit: so many episodes' cost; 8, 64 and 512 by default
    samples: int = 0  # credit: at most so many samples at each budget; 0 is 96, 33 and 12
    out: Path | None = None  # also write the numbers to this new JSON file


def bench(options: Bench) -> int:
    """Measure and print; with --out also as JSON."""
    if options.part == "critic":
        return _critic(options)
    if options.out is not None and options.out.exists():
        raise ValueError(
            f"--out {options.out}: expected a new file, got one that exists; name another"
        )
    if options.part == "engine":
        return _engine(options)
    if options.device != "cpu":
        raise ValueError(
            f"--device {options.device}: expected the part engine, got {options.part}; only "
            "lmenvs bench engine runs elsewhere"
        )
    if options.part == "credit":
        return _credit(options)
    if options.only or options.budgets or options.samples:
        raise ValueError(
            f"--only, --budgets, --samples: expected the part credit, got {options.part}; leave "
            "them out"
        )
    from ..bench import parts

    with support.progress("bench") as advance:
        results = parts.measure(options.part, options.seconds, options.seed, lambda: advance(1))
    _show([(row["what"], row["value"], row["unit"]) for row in results])
    if options.out is not None:
        record = {
            "results": results,
            "versions": support.versions(),
            "machine": support.machine(),
            "commit": support.commit(),
            "command": " ".join(masked_arguments(["lmenvs", *sys.argv[1:]])),
        }
        write_new(options.out, json.dumps(record, indent=2) + "\n")
    return 0


def _engine(options: Bench) -> int:
    from ..bench import engine

    total = engine.count(options.device)
    try:
        with support.progress("bench engine", total) as advance:
            results = engine.measure(options.device, options.seed, options.out, advance)
    except support.Interrupted:  # a training that is measured; there is nothing to --resume
        raise KeyboardInterrupt from None
    _show(engine.rows(results))
    if options.out is not None:
        command = masked_arguments(["lmenvs", *sys.argv[1:]])
        write_new(options.out, engine.record(results, options.device, options.seed, command))
        finished(options.out)
    return 0


def _credit(options: Bench) -> int:
    from ..bench.credit import run, summary

    plan = run.planned(options.only, options.budgets, options.samples)
    with support.progress("bench credit", len(plan.parts)) as advance:
        found = run.measure_all(options.seed, options.out, advance, plan)
    for budget in summary.budgets(found):
        title = f"At the cost of {budget} episodes, means over environments"
        cells, costs = summary.cells(found, budget), summary.costs(found, budget)
        print_table(summary.HEAD, cells, title=title)
        lines = [(name, *cost) for (name, *_), cost in zip(cells, costs, strict=True)]
        print_table((summary.HEAD[0], *summary.COST_HEAD), lines, title=f"{title}, continued")
    if run.SPEED in found:
        _show([(f"credit: {name}", value, unit) for name, value, unit in summary.speeds(found)])
    told = (summary.verdict(found), summary.forked_truth(found), summary.not_measured(found))
    for line in (summary.COLUMNS, *chain.from_iterable(told)):
        print(line)
    if options.out is not None:
        command = masked_arguments(["lmenvs", *sys.argv[1:]])
        write_new(options.out, run.record(found, plan.seeds(options.seed), command))
        finished(options.out)
    return 0


def _critic(options: Bench) -> int:
    from ..bench.critic import cells, run
    from ..tables.critic import HEAD, row

    if options.device != "cpu" or options.budgets or options.samples or options.seed:
        raise ValueError(
            "lmenvs bench critic: expected --only and --out, got --device, --budgets, --samples or "
            "--seed; leave them out"
        )
    chosen = list(cells.chosen(options.only))
    command = " ".join(masked_arguments(["lmenvs", *sys.argv[1:]]))
    support.set_threads(1)
    with support.progress("bench critic", len(chosen)) as advance:
        found = run.measure(options.out, chosen, command, advance)
    lines = [(cell.name, *row([found[cell.name]], cells.WANTED[cell.task])) for cell in chosen]
    print_table(("critic", *HEAD), lines, title="Critics beside exact values")
    return 0


def _show(rows: list[tuple[str, float, str]]) -> None:
    print_table(
        ("what", "value", "unit"), [(what, _number(value), unit) for what, value, unit in rows]
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
