"""Language models: one file a provider, one line each in `registry.py`."""
