"""The HTTP routes of flows, sessions and turns, and how errors look on them."""
