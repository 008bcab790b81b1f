"""Runs in the experiment trackers that people have: TensorBoard, Weights & Biases, MLflow. One tracker run a run.

The results table stays the source of truth: trackers are told after a run is recorded, by the driver alone, and a
tracker that fails loses nothing. Each is an extra (`pip install 'mixopt[wandb]'`), and its library is imported only
when it is asked for.
"""

from mixopt.trackers.base import TRACKERS, Tracked, Tracker, Trackers

__all__ = ["TRACKERS", "Tracked", "Tracker", "Trackers"]
