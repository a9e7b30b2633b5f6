"""What `parley bench …` runs: each module times one part beside a named baseline in the same run.

May import everything but `stack`.
"""

import speech  # noqa: F401 - before onnxruntime, which reports to its maker otherwise
