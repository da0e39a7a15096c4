"""The one way to the network: time-outs, retries with back-off, typed failures, no secret in any of them."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from lowtide_core.errors import Malformed, NoData, ProviderError, Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from requests import Response, Session

_RETRIED = (429, 500, 502, 503, 504)
_RETRIES_UNANSWERED = 1  # each may cost a whole time-out, and somebody waits
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Http:
    """How requests are made.

    Attributes:
        timeout_s: For the connection, and for each wait for bytes.
        retries: After 429 and 5xx (a time-out or a refusal is tried once more); waits double, are jittered and follow
            ``Retry-After``. Where that asks for more than 20 s, the answer stands and the error says how long.
        offline: Refuse before any socket is opened.
    """

    timeout_s: float = 10.0
    retries: int = 3
    offline: bool = False
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False, compare=False)

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
            provider, operation: For the messages; address, parameters and headers are never told.
        Raises:
            Unavailable: Offline, no connection, time-out, 429 or 5xx after the retries.
            Rejected: Another 4xx; ``facts`` hold its ``status`` and what it ``said``. NoData: 204, 404.
            Malformed: Another status, a redirect too (it would carry the key to a stranger), or not JSON.
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
            response = self._answer(url, params, headers)
        except requests.RequestException as error:
            # The library's own text holds the whole address, and so perhaps a key: only its kind is told.
            raise Unavailable(
                f"{provider} did not answer ({type(error).__name__}): {operation}.",
                provider=provider,
                operation=operation,
                hint="Try again later, or plan without it: --signal climatology.",
            ) from None
        if response.status_code != requests.codes.ok:
            raise_for(response, provider=provider, operation=operation, secrets=(headers or {}).values())
        try:
            body: object = response.json()
        except requests.JSONDecodeError as error:
            raise Malformed(
                f"{provider} answered something that is not JSON: {operation}.", provider=provider, operation=operation
            ) from error
        return body

    def _answer(self, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str] | None) -> Response:
        """The first answer that is not to be asked for again, or the last one."""
        import requests

        attempt = 0
        while True:
            asked_s: float | None = None
            try:
                response = _session().get(
                    url, params=params, headers=headers, timeout=self.timeout_s, allow_redirects=False
                )
            except (requests.ConnectionError, requests.Timeout):
                if attempt >= min(self.retries, _RETRIES_UNANSWERED):
                    raise
            else:
                asked_s = _retry_after_s(response)
                if response.status_code not in _RETRIED or attempt >= self.retries or (asked_s or 0) > _LONGEST_WAIT_S:
                    return response
            self.sleep(max(asked_s or 0.0, _back_off_s(attempt)))
            attempt += 1


@cache
def _session() -> Session:
    """One for the process, so that connections are used again."""
    from importlib.metadata import version

    import requests

    session = requests.Session()
    session.headers["User-Agent"] = f"lowtide/{version('lowtide')}"
    session.headers["Accept"] = "application/json"
    return session


def _back_off_s(attempt: int) -> float:
    """0.5 s, 1 s, 2 s ..., each up to doubled, so that many clients do not return together."""
    return min(_FIRST_WAIT_S * 2.0**attempt * (1 + random.random()), _LONGEST_WAIT_S)  # noqa: S311  not a secret


def raise_for(response: Response, *, provider: str, operation: str, secrets: Iterable[str] = ()) -> NoReturn:
    """The error of the tree that a status and body stand for; one table for every source."""
    status, said = response.status_code, _said(response, secrets)
    error: type[ProviderError]
    if status in _RETRIED:
        error, hint = Unavailable, "Try again later, or plan without it: --signal climatology."
    elif status in (204, 404):
        error, hint = NoData, "Choose another source, zone or time."
    elif status in (401, 403):
        error, hint = Rejected, "Check the key, and whether its plan covers this zone."
    elif 400 <= status < 500:
        error, hint = Rejected, "Choose another source, zone or time."
    else:
        error, hint = Malformed, "Please report it with this message."
    raise error(
        f"{provider} answered {status}{f' ({said})' if said else ''}: {operation}.",
        provider=provider,
        operation=operation,
        retry_after_s=_retry_after_s(response),
        hint=hint,
        status=status,
        said=said,
    )


def _said(response: Response, secrets: Iterable[str]) -> str:
    """What the body says in words, in whatever envelope; short, one line, without the keys that were sent."""
    try:
        body = response.json()
    except ValueError:
        text: object = response.text
    else:
        text = body.get("error") or body.get("message") if isinstance(body, dict) else ""
        if isinstance(text, dict):
            text = text.get("message") or text.get("code")
    line = " ".join(str(text or "").split())
    for secret in filter(None, secrets):
        line = line.replace(secret, "(hidden)")
    return line[:160]


def _retry_after_s(response: Response) -> float | None:
    """Seconds of ``Retry-After``, in both of its forms; a date counts from the answer's own ``Date``."""
    from email.utils import parsedate_to_datetime

    value = response.headers.get("Retry-After", "")
    if value.isdigit():
        return float(value)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(response.headers.get("Date", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, wait.total_seconds())
