"""Federated algorithms, one file each, on the interface of `base.py`."""
