"""The benchmark around `fedmrg_core`: configs, one experiment, suites, leaderboards and the command line."""
