"""The last step of a sweep: train what it chose on train and valid, for each seed, and score test once."""
