"""Build pages of HTML and figures of SVG that need nothing else, from texts that may be hostile."""
