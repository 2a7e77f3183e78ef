"""`lmenvs bench`: speeds of environments, of sampling and of training, on this machine."""
