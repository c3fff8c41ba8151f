"""Which trial is trained next, and how far: to the end, by races over seeds, or by pruning."""
