"""The subcommands of `fedmrg`, one file each."""
