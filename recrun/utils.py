"""Re-export helpers of `recrun.files` and `recrun.randomness` under a short import path for scripts."""

from recrun.files import atomic_write, sha256_file
from recrun.randomness import draw_seed, generator, seed_everything

__all__ = ["atomic_write", "draw_seed", "generator", "seed_everything", "sha256_file"]
