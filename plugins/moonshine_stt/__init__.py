"""Placeholder docstring: replaced with the plugin."""
