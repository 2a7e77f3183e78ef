"""The single checks of the environment contract; `lmenvs.testing.check_env` runs them all."""
