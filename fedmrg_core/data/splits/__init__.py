"""Splits: how studies become hospitals and parts."""
