"""A LiveKit LLM whose answers come from the turns of a flow.

The plugin knows the conversation by a small protocol, `TurnSource`, and nothing of who implements
it. May import livekit.agents and `protocol`.
"""

from plugins.flow_llm.llm import LLM, FlowLLMStream, Turn, TurnSource

__all__ = ["LLM", "FlowLLMStream", "Turn", "TurnSource"]
