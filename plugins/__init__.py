"""LiveKit Agents adapters: one folder a plugin, and none knows another.

May import livekit.agents, `speech` and `protocol`.
"""
