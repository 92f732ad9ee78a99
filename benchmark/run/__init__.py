"""One run: its settings, its stages, its workers and its provenance."""
