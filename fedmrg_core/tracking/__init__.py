"""Mirrors a run to MLflow. Only `client.py` and `store.py` import mlflow. What of a run is shown, and under which
names, is decided by the caller (`benchmark/run/mirror.py`)."""

from fedmrg_core.tracking.content import Dataset, Description, metric_name
from fedmrg_core.tracking.tracker import Tracker, default_uri

__all__ = ["Dataset", "Description", "Tracker", "default_uri", "metric_name"]
