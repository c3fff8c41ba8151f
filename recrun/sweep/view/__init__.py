"""Show a sweep: what it will do, how far it is, and what came of it."""
