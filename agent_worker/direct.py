"""`BRAIN=openai`: an OpenAI-compatible endpoint answers, without a flow.

LiveKit registers plugins on the main thread only: import this module there, before any call.
"""

from __future__ import annotations

from livekit.plugins import openai

from agent_worker.settings import WorkerSettings

OPENAI_URL = "https://api.openai.com/v1"


def direct_model(settings: WorkerSettings) -> openai.LLM:
    """The model that the settings name."""
    key = settings.openai_api_key
    return openai.LLM(
        model=settings.openai_model,
        # A local endpoint takes any key, and the client insists on one.
        api_key=key.get_secret_value() if key is not None else "none",
        base_url=settings.openai_base_url or OPENAI_URL,
    )
