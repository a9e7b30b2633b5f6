"""The doors: every HTTP and WebSocket interface beside flows and sessions, one file each."""
