"""The bundled experiment configs."""
