"""`parley models`: better models for the embedded server, and fetching them."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import platformdirs
import psutil
import typer
from rich.console import Console
from rich.table import Table

from protocol.errors import ConfigError, ProviderError
from speech.fetching import Announced, BrokenOffError, DamagedError, fetch_file, why
from stack.fetched import shown

app = typer.Typer(
    help="Better models for the embedded server, and fetching them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

HUB_URL = "https://huggingface.co"
_PART = re.compile(r"\w[\w.-]*", re.ASCII)
_SPARE = 1.6
"""Memory for the context and the rest of the stack, as a share of the file's size."""


@dataclass(frozen=True, slots=True)
class Model:
    """A gguf file on the Hugging Face hub that speaks well for its size."""

    name: str
    repository: str
    file: str
    size_mb: int
    cores: int
    """So many keep up with speech."""
    licence: str

    def fits(self) -> bool:
        """Whether this machine has the memory and the cores."""
        free_mb = psutil.virtual_memory().available / 1e6
        return self.size_mb * _SPARE < free_mb and self.cores <= (psutil.cpu_count() or 1)


MODELS = (
    Model(
        "qwen2.5-0.5b",
        "Qwen/Qwen2.5-0.5B-Instruct-GGUF",
        "qwen2.5-0.5b-instruct-q4_k_m.gguf",
        491,
        2,
        "Apache-2.0",
    ),
    Model(
        "qwen2.5-1.5b",
        "Qwen/Qwen2.5-1.5B-Instruct-GGUF",
        "qwen2.5-1.5b-instruct-q4_k_m.gguf",
        1117,
        4,
        "Apache-2.0",
    ),
    Model(
        "smollm2-1.7b",
        "HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF",
        "smollm2-1.7b-instruct-q4_k_m.gguf",
        1056,
        4,
        "Apache-2.0",
    ),
)
"""The smallest first. Any other is `OWNER/REPOSITORY/FILE.gguf`."""


def suggestion(folder: Path | None = None) -> str:
    """What to do for the best model that this machine can carry; empty where none fits."""
    fitting = [model for model in MODELS if model.fits()]
    if not fitting:
        return ""
    best = max(fitting, key=lambda model: model.size_mb)
    path = (folder or models_dir()) / best.file
    if path.is_file():
        return f"{best.name} is here and fits this machine: set LLM_MODEL_PATH={path}."
    return (
        f"{best.name} ({best.size_mb} MB) fits this machine and speaks better: "
        f"parley models download {best.name}."
    )


_Folder = Annotated[Path | None, typer.Option(help="Where models are kept on this machine.")]


def models_dir() -> Path:
    """Where models are kept unless another folder is named."""
    return platformdirs.user_data_path("parley") / "models"


@app.command("list")
def show(
    folder: _Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the models, and which of them fit this machine."""
    here = {path.name for path in (folder or models_dir()).glob("*.gguf")}
    rows = [
        asdict(model) | {"fits": model.fits(), "installed": model.file in here} for model in MODELS
    ]
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return
    table = Table("model", "MB", "cores", "licence", "fits here", "here")
    for row in rows:
        table.add_row(
            row["name"],
            str(row["size_mb"]),
            str(row["cores"]),
            row["licence"],
            "yes" if row["fits"] else "no",
            "yes" if row["installed"] else "",
        )
    Console().print(table)


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="A name of the list, or OWNER/REPOSITORY/FILE.gguf.")],
    folder: _Folder = None,
    url: Annotated[str, typer.Option("--url", help="The hub, or a copy of it.")] = HUB_URL,
) -> None:
    """Fetch a model and check it."""
    repository, file = located(name)
    path = fetch(repository, file, folder or models_dir(), url.rstrip("/"))
    sys.stdout.write(f"{path}\n")
    Console(stderr=True).print(f"Set LLM_MODEL_PATH={path} to speak with it.", soft_wrap=True)


def located(name: str) -> tuple[str, str]:
    """Repository and file of a model.

    Raises:
        ConfigError: `setting_invalid` for a name that is neither in the list nor a path of the
            hub.
    """
    for model in MODELS:
        if name == model.name:
            return model.repository, model.file
    parts = name.split("/")
    plain = all(_PART.fullmatch(part) for part in parts)
    if len(parts) != 3 or not plain or not name.endswith(".gguf"):
        raise ConfigError(
            "setting_invalid",
            f"There is no model {name[:60]!r}. There are: "
            f"{', '.join(model.name for model in MODELS)}, and any OWNER/REPOSITORY/FILE.gguf.",
        )
    return f"{parts[0]}/{parts[1]}", parts[2]


def fetch(repository: str, file: str, folder: Path, url: str = HUB_URL) -> Path:
    """Downloads a file of the hub, goes on where an earlier try broke off, and checks its sha256.

    Raises:
        ProviderError: `provider_unavailable` if the hub cannot be reached or has no such file;
            `provider_bad_response` if what came is not what the hub announced.
        ConfigError: `disk_full`, or `setting_invalid` for a folder that cannot be written.
    """
    # Takes half a second, and only downloads need it.
    from httpx2 import HTTPError, InvalidURL
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url
    from huggingface_hub.errors import HFValidationError

    target = folder / file
    try:
        address = hf_hub_url(repository, file, endpoint=url)
        told = get_hf_file_metadata(address, endpoint=url)
        # The hub's tag of a large file is its sha256; a small one's is a git hash.
        tag = (told.etag or "").lower()
        if not told.size:
            raise BrokenOffError("it does not say how large the file is")
        announced = Announced(told.size, "sha256", tag if len(tag) == 64 else None)
        headers = {"Authorization": f"Bearer {token}"} if (token := get_token()) else {}
        with shown(file) as moved:
            fetch_file(address, target, announced, headers=headers, moved=moved)
    except DamagedError as error:
        raise ProviderError(
            "provider_bad_response",
            f"{file} arrived damaged ({error}) and was not kept. Fetch it again.",
        ) from error
    except (BrokenOffError, HTTPError, InvalidURL, HFValidationError, OSError) as error:
        reason = why(error)
        if isinstance(error, BrokenOffError):
            reason = f"{error}; the next try goes on from what has come"
        raise ProviderError(
            "provider_unavailable",
            f"{repository}/{file} cannot be fetched from {url} ({reason}). Check the name and the "
            "network.",
        ) from error
    return target
