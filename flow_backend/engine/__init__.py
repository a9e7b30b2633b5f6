"""Runs flows: sessions, turns, their events, and the journal that makes every event resumable."""
