"""The LiveKit Agents worker: joins rooms, listens, asks the flow backend, speaks.

May import livekit, `plugins`, `speech` and `protocol`; never `flow_backend`.
"""
