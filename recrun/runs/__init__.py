"""The run folder: its files, finding and listing runs, and what a resumed run may change."""
