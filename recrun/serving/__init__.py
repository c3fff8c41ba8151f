"""Serve a trained model over HTTP. Its modules need the extra `recrun[serve]`; see `recrun.serving.packages`."""
