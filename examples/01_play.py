"""Play a text environment through Gymnasium, with your own loop.

Run: python examples/01_play.py
"""

import gymnasium as gym

import lmenvs  # importing it makes the ids known to gymnasium

env = gym.make("lmenvs/Wordle-v0")
game = env.unwrapped  # the environment without gymnasium's wrappers has a few things more
assert isinstance(game, lmenvs.TextEnv)
observation, info = env.reset(seed=3)
print(game.instructions)  # what a language model would get as its system prompt
print(observation)

terminated = truncated = False
total = 0.0
for action in ["my guess is: crane", "banana?", "slate", "moist"]:
    if terminated or truncated:
        break
    observation, reward, terminated, truncated, info = env.step(action)
    total += float(reward)
    print(f"> {action}\n{observation}   reward {reward:+g}, valid: {info['valid']}")

# The scripted expert goes on from what the player has seen so far.
while not (terminated or truncated):
    action = game.expert_action()
    observation, reward, terminated, truncated, info = env.step(action)
    total += float(reward)
    print(f"> {action}\n{observation}   reward {reward:+g}")

print(f"solved: {info['success']}, return {total:g}, the word was {game.answer()}")

# Many at once: the same text in sync and async mode.
envs = gym.make_vec("lmenvs/Maze-v0", 3, vectorization_mode="sync")
observations, infos = envs.reset(seed=0)
print(observations[0])
observations, rewards, terminations, truncations, infos = envs.step(["move down"] * 3)
print(rewards)
