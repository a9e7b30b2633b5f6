"""The flow backend: runs flows, streams tokens as SSE, serves the doors, tokens and the page.

May import FastAPI, `speech` and `protocol`; never LiveKit's agent framework, `plugins` or
`agent_worker`.
"""
