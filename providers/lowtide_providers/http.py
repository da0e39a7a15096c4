"""The one way to the network: time-outs, retries with back-off, typed failures, no secret in any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from lowtide_core.errors import Malformed, NoData, ProviderError, Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import Response, Session

_RETRIED = (429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Http:
    """How requests are made; a session is opened for each source when it is first asked.

    Attributes:
        timeout_s: For the connection, and for each wait for bytes.
        retries: After time-outs, refusals, 429 and 5xx; waits grow, jittered, and follow ``Retry-After``.
        offline: Refuse before any socket is opened.
    """

    timeout_s: float = 10.0
    retries: int = 3
    offline: bool = False

    def get_json(
        self,
        url: str,
        *,
        provider: str,
        operation: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> object:
        """The JSON body of a GET.

        Args:
            provider, operation: For the messages; the address is told without its query, headers never.
        Raises:
            Unavailable: Offline, no connection, time-out, 429 or 5xx after the retries.
            Rejected: 401 and 403. NoData: 404. Malformed: another status, or a body that is not JSON.
        """
        if self.offline:
            raise Unavailable(
                f"{provider} was not asked: lowtide is offline.",
                provider=provider,
                operation=operation,
                hint="Unset LOWTIDE_OFFLINE (lowtide config set offline false) to allow the network.",
            )
        import requests  # 0.2 s: only where the network is really asked

        try:
            with self._session() as session:
                response = session.get(url, params=params, headers=headers, timeout=self.timeout_s)
        except requests.RequestException as error:
            # The library's own text holds the whole address, and so perhaps a key: only its kind is told.
            raise Unavailable(
                f"{provider} did not answer ({type(error).__name__}): {operation}.",
                provider=provider,
                operation=operation,
                hint="Try again later, or plan without it: --signal climatology.",
            ) from None
        if response.status_code != requests.codes.ok:
            raise_for(response, provider=provider, operation=operation)
        try:
            return response.json()
        except requests.JSONDecodeError:
            raise Malformed(
                f"{provider} answered something that is not JSON: {operation}.", provider=provider, operation=operation
            ) from None

    def _session(self) -> Session:
        from importlib.metadata import version

        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util.retry import Retry

        retry = Retry(
            total=self.retries,
            backoff_factor=0.5,
            backoff_jitter=0.5,
            backoff_max=30,
            status_forcelist=_RETRIED,
            allowed_methods=("GET",),
            raise_on_status=False,
            respect_retry_after_header=True,
        )
        session = requests.Session()
        session.headers["User-Agent"] = f"lowtide/{version('lowtide')}"
        session.headers["Accept"] = "application/json"
        session.mount("https://", HTTPAdapter(max_retries=retry))
        session.mount("http://", HTTPAdapter(max_retries=retry))
        return session


def raise_for(response: Response, *, provider: str, operation: str) -> NoReturn:
    """The error of the tree that a status and body stand for; one table for every source."""
    status, said = response.status_code, _said(response)
    told = f"{provider} answered {status}{f' ({said})' if said else ''}: {operation}."
    error: type[ProviderError]
    if status in _RETRIED:
        error, hint = Unavailable, "Try again later."
    elif status in (401, 403):
        error, hint = Rejected, "Check the key, and whether its plan covers this zone."
    elif status == 404:
        error, hint = NoData, "Choose another source, zone or time."
    else:
        error, hint = Malformed, "Please report it with this message."
    raise error(
        told, provider=provider, operation=operation, retry_after_s=_retry_after_s(response), hint=hint, status=status
    )


def _said(response: Response) -> str:
    """What the body says in words, in whatever envelope; short, one line."""
    try:
        body = response.json()
    except ValueError:
        text = response.text
    else:
        text = body.get("error") or body.get("message") or "" if isinstance(body, dict) else ""
        if isinstance(text, dict):
            text = text.get("message") or text.get("code") or ""
    return " ".join(str(text).split())[:120]


def _retry_after_s(response: Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None
