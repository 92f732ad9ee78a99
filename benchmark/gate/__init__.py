"""The regression gate: numbers of small runs in this process, compared with what a commit expects."""
