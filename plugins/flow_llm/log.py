"""The plugin's logger."""

import logging

logger = logging.getLogger("plugins.flow_llm")
