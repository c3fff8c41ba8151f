"""Write a comparison as text: Markdown, LaTeX, HTML, CSV, and the blocks that a terminal shows."""
