"""What crosses a process border: turn calls, SSE events, errors and settings.

Worker and backend share these types and nothing else. May import pydantic and the standard
library; every other package of the project may import this one.
"""
