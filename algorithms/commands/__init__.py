"""What each `lmenvs` subcommand takes and does, one file per group."""
