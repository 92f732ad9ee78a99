"""Performance, as ratios side by side in one run: scripts to be run by hand, never timed tests."""
