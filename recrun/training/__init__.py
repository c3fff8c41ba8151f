"""The Coach and what it trains with: loop, state, optimizers, schedules, devices."""
