"""A LiveKit LLM whose answers come from the turns of a flow.

The plugin knows the conversation by a small protocol, `TurnSource`, and nothing of who implements
it. May import livekit.agents and `protocol`.
"""

from livekit.agents import Plugin

from plugins.flow_llm.llm import LLM, FlowLLMStream, Turn, TurnSource
from plugins.flow_llm.log import logger
from plugins.flow_llm.version import __version__

__all__ = ["LLM", "FlowLLMStream", "Turn", "TurnSource", "__version__"]


class FlowLLMPlugin(Plugin):
    """Registers the plugin with LiveKit Agents."""

    def __init__(self) -> None:
        super().__init__(__name__, __version__, __name__, logger)


Plugin.register_plugin(FlowLLMPlugin())
