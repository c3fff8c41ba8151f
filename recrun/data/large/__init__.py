"""Arrays that may be larger than memory: where they lie, and how they are counted, ordered and selected in pieces."""
