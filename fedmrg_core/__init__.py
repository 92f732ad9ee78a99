"""Federated medical report generation: data, models, algorithms, engine and metrics. Run it with `fedmrg bench`."""
