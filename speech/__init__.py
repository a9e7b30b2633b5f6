"""Speech without a framework: sentence buffer, text for speech, Piper, Moonshine, VAD, audio.

The bottom layer, usable as a library. May import numpy, onnxruntime and other libraries, and
`protocol.errors`; never LiveKit, a web framework or another package of the project.
"""

import os

# onnxruntime reports to its maker unless this is set before it is first imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
