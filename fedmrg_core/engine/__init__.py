"""The engine: one training loop, one client script, pools of workers, rounds, checkpoints."""
