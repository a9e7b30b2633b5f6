"""The `parley` command: starts the stack, checks it, talks to it.

The top layer: may import everything.
"""
