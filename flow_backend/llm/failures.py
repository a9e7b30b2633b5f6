"""Turns what goes wrong at a provider into `ProviderError`s that say what to do.

Providers' own error texts are not repeated: they may quote a key or a prompt. Their short codes
(`context_length_exceeded`) are.
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from protocol.errors import ProviderError

_SHORT_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{2,63}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What an error names."""

    name: str
    """The provider's, as in the catalogue."""
    key_variable: str | None
    """The variable that holds its key; None if it takes none."""
    url: str
    """Where calls go; shown without user, password or query."""

    @property
    def place(self) -> str:
        """The address as it may be shown."""
        return re.sub(r"^(\w+://)[^/@]*@", r"\1", self.url.partition("?")[0])

    def unreachable(self) -> ProviderError:
        """No connection, or it broke before the answer began."""
        return ProviderError(
            "provider_unavailable",
            f"{self.name}: no answer from {self.place}. Check the address and the network, and "
            "that the server runs.",
        )

    def cut(self) -> ProviderError:
        """The stream ended, or broke, before the provider said that the answer was whole."""
        return ProviderError(
            "provider_bad_response",
            f"{self.name}: the answer was cut off before its end. The same request may work again.",
        )

    def garbled(self) -> ProviderError:
        """What came is not the provider's documented format."""
        return ProviderError(
            "provider_bad_response",
            f"{self.name}: {self.place} sent something that is not its documented format. Check "
            "that the address is that of the provider's API.",
        )

    def lost(self, began: bool) -> ProviderError:
        """The connection broke, or was never there."""
        return self.cut() if began else self.unreachable()

    def broken(self, began: bool) -> ProviderError:
        """The answer cannot be read to its end."""
        return self.cut() if began else self.garbled()

    def filtered(self, reason: str) -> ProviderError:
        """The provider withheld the answer."""
        return ProviderError(
            "provider_refused",
            f"{self.name}: withheld the answer ({_short(reason) or 'no reason given'}). Another "
            "wording or another model may be answered.",
        )

    def timed_out(self, what: str, limit_s: float, variable: str) -> ProviderError:
        """Nothing came in time."""
        return ProviderError(
            "provider_timeout",
            f"{self.name}: {what} within {limit_s:g} s ({variable}).",
        )

    def status(
        self,
        status: int,
        *,
        headers: Mapping[str, str] | None = None,
        reason: object = None,
        model: str | None = None,
    ) -> ProviderError:
        """An HTTP status, or the same number inside a stream.

        Args:
            status: 4xx or 5xx; 529 is Anthropic's "overloaded".
            headers: The response's, for `Retry-After`.
            reason: The provider's error code or type; dropped unless it looks like one.
            model: The model that was asked for.
        """
        short = _short(reason)
        said = f"{status} {short}" if short else str(status)
        wait_s = retry_after_s(headers or {})
        wait = f" It asks to wait {wait_s:g} s." if wait_s is not None else ""
        if status in (401, 403):
            key = self.key_variable or "the key"
            return ProviderError(
                "provider_unauthorized",
                f"{self.name}: refused the key ({said}). Check {key}: that it is whole, still "
                "valid and allowed to use this model.",
            )
        if status == 402:
            return ProviderError(
                "provider_refused", f"{self.name}: the account has no credit left ({said}). Top up."
            )
        if status == 404:
            return ProviderError(
                "provider_refused",
                f"{self.name}: does not know the model {model!r} or the address {self.place} "
                f"({said}). Choose one that it lists.",
            )
        if status == 429:
            return ProviderError(
                "provider_rate_limited",
                f"{self.name}: too many requests, or the quota is used up ({said}).{wait} Slow "
                "down, raise the limit, or name a second provider in LLM.",
                retry_after_s=wait_s,
            )
        if status == 408 or status >= 500:
            return ProviderError(
                "provider_unavailable",
                f"{self.name}: failed on its side ({said}).{wait} Try again, or name a second "
                "provider in LLM.",
                retry_after_s=wait_s,
            )
        return ProviderError(
            "provider_refused",
            f"{self.name}: did not accept the request ({said}) for the model {model!r}. The "
            "prompt may be too long, or the model may not know an option that the flow uses.",
        )


def required_key(name: str, variable: str, value: SecretStr | None) -> str:
    """The key of a provider that cannot do without.

    Raises:
        ProviderError: `provider_not_configured` if it is not set.
    """
    if not value:
        raise ProviderError(
            "provider_not_configured",
            f"{name}: no key. Set {variable}, or choose another provider.",
        )
    return value.get_secret_value()


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `Retry-After` (seconds or a date) or `retry-after-ms`."""
    milliseconds = headers.get("retry-after-ms", "")
    if re.fullmatch(r"\d{1,9}(\.\d+)?", milliseconds):
        return float(milliseconds) / 1000
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, when.timestamp() - time.time())


def _short(reason: object) -> str:
    return reason if isinstance(reason, str) and _SHORT_CODE.fullmatch(reason) else ""
