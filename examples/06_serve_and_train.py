"""Serve a model over HTTP, play with it, and train with the server as the engine that samples.

Run: python examples/06_serve_and_train.py [--smoke]     (a minute; seconds with --smoke)

In earnest the server is a program of its own, `python -m agents.serve hf:MODEL --weights FOLDER` or
vLLM with an adapter, and the learner another one: `lmenvs train reinforce --engine SPEC`.
"""

import sys
import tempfile
import threading
from pathlib import Path

from agents import make_policy
from agents.rollout import evaluate
from agents.serve import PolicyServer
from algorithms import behaviour_cloning, reinforce, support

smoke = "--smoke" in sys.argv
env = "lmenvs/Microwave-v0"
support.set_threads(1)  # a model this small is quickest on one thread

folder = Path(tempfile.mkdtemp(prefix="lmenvs-"))
cloning = behaviour_cloning.Config(
    demonstrator="random", episodes=64, epochs=12, batch_size=16, learning_rate=1e-2
)
tiny = behaviour_cloning.TinyConfig(hidden=32, layers=1, clone=cloning)
start = behaviour_cloning.pretrain(env, folder / "start", tiny)

exchange = folder / "exchange"  # both see it; the server reads weights from nowhere else
exchange.mkdir()
server = PolicyServer(make_policy(f"hf:{start}"), "player", weights=exchange)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"openai:player@{server.url}"

# messages in, text out: how any endpoint is evaluated
scored = evaluate(env, f"{address}?max_tokens=8", episodes=8 if smoke else 64, name="start")
print(f"served: success {scored.success.mean:.2f}, {scored.usage}")

# ids in, ids out: the server gets the weights of every iteration and samples with them
config = reinforce.Config(
    iterations=2 if smoke else 30,
    groups=4 if smoke else 16,
    learning_rate=3e-3,
    engine=f"{address}?weights={exchange}",
)
trained = reinforce.train(env, start, folder / "trained", config)
scored = evaluate(env, f"hf:{trained}", episodes=8 if smoke else 64, name="trained")
print(f"trained through HTTP: success {scored.success.mean:.2f}")
print(f"left in the exchange: {list(exchange.iterdir())}")
server.shutdown()
server.server_close()
