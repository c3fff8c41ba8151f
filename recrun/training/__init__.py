"""Train a model: the Coach, the state of its loop, optimizers, schedules and devices."""
