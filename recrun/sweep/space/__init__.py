"""What a sweep varies: arguments, a config's section and Python values, and the space that they describe."""
