"""The node types of flows: one file each, one line each in `catalogue.py`."""
