"""Commands that draw conclusions from finished runs."""
