"""How much each setting of a sweep matters, and what its best points have in common."""
