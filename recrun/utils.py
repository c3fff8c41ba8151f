"""The seed's name for `recrun.files` and `recrun.randomness`."""

from recrun.files import atomic_write, sha256_file
from recrun.randomness import draw_seed, generator, seed_everything

__all__ = ["atomic_write", "draw_seed", "generator", "seed_everything", "sha256_file"]
