"""Calls that flows make to the outside: guarded, bounded, side effects exactly once."""
