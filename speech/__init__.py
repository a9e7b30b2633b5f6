"""Speech without a framework: sentence buffer, text for speech, Piper, Moonshine, VAD, audio.

The bottom layer, usable as a library. May import numpy, onnxruntime and other libraries, and
`protocol.errors`; never LiveKit, a web framework or another package of the project.
"""
