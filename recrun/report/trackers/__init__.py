"""Report runs to trackers: MLflow, Weights & Biases, Trackio, and those of users."""
