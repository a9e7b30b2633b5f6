"""What every client of a hosted speech service does alike: time limits and errors."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from email.utils import parsedate_to_datetime

import httpx

from protocol.errors import ProviderError


def client(base_url: str, *, connect_timeout_s: float, read_timeout_s: float) -> httpx.AsyncClient:
    """An HTTP client with limits; nothing is read from proxy variables or netrc files."""
    return httpx.AsyncClient(
        base_url=base_url.rstrip("/"),
        timeout=httpx.Timeout(read_timeout_s, connect=connect_timeout_s, pool=connect_timeout_s),
        trust_env=False,
    )


@contextlib.contextmanager
def translated(label: str, base_url: str) -> Iterator[None]:
    """Turns httpx's connection errors into ProviderError.

    Raises:
        ProviderError: `provider_timeout` or `provider_unavailable`, both retryable.
    """
    try:
        yield
    except httpx.TimeoutException as error:
        what = "connect" if isinstance(error, httpx.ConnectTimeout) else "answer"
        raise ProviderError(
            "provider_timeout",
            f"{label} did not {what} in time ({base_url}). Try again, or raise "
            "SPEECH_CONNECT_TIMEOUT_S or SPEECH_READ_TIMEOUT_S.",
        ) from error
    except httpx.ConnectError as error:
        raise ProviderError(
            "provider_unavailable",
            f"{label} cannot be reached at {base_url}. Check the address and the network.",
        ) from error
    except httpx.HTTPError as error:
        raise ProviderError(
            "provider_unavailable", f"{label}: the connection broke in the middle of an answer."
        ) from error


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header (RFC 9110, section 10.2.3), a number or a date.

    Args:
        headers: A mapping that ignores case, as the HTTP clients give.
    """
    value = headers.get("retry-after")
    if value is None:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(value))
    with contextlib.suppress(ValueError, TypeError):
        now = headers.get("date")
        if now is not None:
            delta = parsedate_to_datetime(value) - parsedate_to_datetime(now)
            return max(0.0, delta.total_seconds())
    return None


def status_error(
    label: str, status: int, key_variable: str, headers: Mapping[str, str] | None = None
) -> ProviderError:
    """The error for an answer that is not 2xx. The body stays out: it may repeat the text."""
    if status in (401, 403):
        return ProviderError(
            "provider_unauthorized", f"{label} refused the key ({status}). Check {key_variable}."
        )
    if status == 429:
        wait_s = retry_after_s(headers) if headers is not None else None
        hint = f" Try again in {wait_s:g} s." if wait_s is not None else " Try again later."
        return ProviderError(
            "provider_rate_limited",
            f"{label} has had enough requests for now (429).{hint}",
            retry_after_s=wait_s,
        )
    if status >= 500:
        return ProviderError(
            "provider_unavailable", f"{label} failed ({status}). Try again, or use another one."
        )
    return ProviderError(
        "provider_refused",
        f"{label} refused the request ({status}). Check voice, model and text.",
    )


@contextlib.asynccontextmanager
async def answer(
    http: httpx.AsyncClient,
    label: str,
    key_variable: str,
    request: httpx.Request,
) -> AsyncIterator[httpx.Response]:
    """Sends a request and gives its streaming 2xx response; leaving closes the connection.

    Raises:
        ProviderError: For anything else, also while the body is read inside the block.
    """
    with translated(label, str(http.base_url)):
        response = await http.send(request, stream=True)
        try:
            if not response.is_success:
                raise status_error(label, response.status_code, key_variable, response.headers)
            yield response
        finally:
            await response.aclose()
