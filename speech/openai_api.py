"""The OpenAI SDK's client and errors, for speech and transcription alike."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx2
from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    OpenAIError,
    Timeout,
)

from protocol.errors import ProviderError
from speech.hosted import status_error
from speech.settings import SpeechSettings

_KEY = "OPENAI_API_KEY"


def openai_client(settings: SpeechSettings, label: str) -> AsyncOpenAI:
    """A client of OpenAI or of `OPENAI_BASE_URL`; the latter may need no key.

    Raises:
        ProviderError: `provider_not_configured`, naming the variable.
    """
    key = settings.openai_api_key
    if key is None and settings.openai_base_url is None:
        raise ProviderError(
            "provider_not_configured",
            f"{label} is not configured: set {_KEY} in the environment or in .env.",
        )
    return AsyncOpenAI(
        api_key=key.get_secret_value() if key else "none",
        base_url=settings.openai_base_url or "https://api.openai.com/v1",
        max_retries=0,
        timeout=Timeout(settings.speech_read_timeout_s, connect=settings.speech_connect_timeout_s),
    )


@contextlib.contextmanager
def translated(label: str, sdk: AsyncOpenAI) -> Iterator[None]:
    """Turns the SDK's errors into ProviderError, also those of a body that is being read."""
    try:
        yield
    except (APITimeoutError, httpx2.TimeoutException) as error:
        raise ProviderError(
            "provider_timeout", f"{label} did not answer in time ({sdk.base_url})."
        ) from error
    except APIConnectionError as error:
        raise ProviderError(
            "provider_unavailable", f"{label} cannot be reached at {sdk.base_url}."
        ) from error
    except APIStatusError as error:
        raise status_error(label, error.status_code, _KEY, error.response.headers) from error
    except httpx2.HTTPError as error:
        raise ProviderError(
            "provider_unavailable", f"{label}: the connection broke in the middle of an answer."
        ) from error
    except (OpenAIError, ValueError) as error:
        raise ProviderError(
            "provider_bad_response", f"{label} sent an answer that is not its protocol."
        ) from error
