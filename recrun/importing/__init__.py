"""Turn configs of other programs into configs of recrun."""
