"""The one way to the network: time-outs, retries with back-off, typed failures, no secret in any of them."""

from __future__ import annotations

import logging
import random
import re
import time
from base64 import b64encode
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from lowtide_core.errors import Malformed, NoData, ProviderError, Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from requests import PreparedRequest, Response, Session

    from lowtide_providers.limits import Limits

_RETRIED = (429, 500, 502, 503, 504)
_RETRIES_UNANSWERED = 1  # each may cost a whole time-out, and somebody waits
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 20.0
_LONGEST_TOLD, _LONGEST_SAID = 160, 1000  # characters of a body, in a message and in its facts
_NAMES_OF_WORDS = ("error", "message", "title", "detail")
_LOGGERS_OF_ADDRESSES = ("urllib3.connectionpool", "urllib3.util.retry")


@dataclass(frozen=True, slots=True)
class Question:
    """One request: what is sent, and how it is called in messages.

    Attributes:
        method, content: Other than a plain GET. It may be sent more than once where there are retries.
        provider, operation: For the messages; address, parameters and headers are never told.
        secret_params: Keys that must travel in the query; hidden in what the service says and in debug logs.
        basic: User name and password, for HTTP Basic.
    """

    url: str
    provider: str
    operation: str
    params: Mapping[str, str] = field(default_factory=dict)
    secret_params: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)
    method: str = "GET"
    content: bytes | None = field(default=None, repr=False)

    def sent_headers(self) -> dict[str, str]:
        sent = dict(self.headers)
        if self.basic is not None:
            # by hand: requests itself would write it in Latin-1, and fail for other letters
            sent["Authorization"] = f"Basic {b64encode(':'.join(self.basic).encode()).decode()}"
        return sent

    def secrets(self) -> Iterator[str]:
        """Everything that no message may tell: the longest spelling first, so that no half of one stays."""
        from urllib.parse import urlsplit

        sent = self.sent_headers()
        words = [*sent.values(), sent.get("Authorization", "").rpartition(" ")[2]]
        words += [*_spellings(self.secret_params), *(self.basic or ())[1:], urlsplit(self.url).password or ""]
        yield from sorted(filter(None, words), key=len, reverse=True)


@dataclass(frozen=True, slots=True)
class Http:
    """How requests are made.

    Attributes:
        timeout_s: For the connection, and for each wait for bytes.
        retries: After 429 and 5xx (a time-out or a refusal is tried once more); waits double, are jittered and follow
            ``Retry-After``. Where that asks for more than 20 s, the answer stands and the error says how long.
        offline: Refuse before any socket is opened.
        limits: Gives each request its turn, over all processes; None asks at once.
    """

    timeout_s: float = 10.0
    retries: int = 3
    offline: bool = False
    limits: Limits | None = None
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False, compare=False)

    def get_json(self, question: Question) -> object:
        """The JSON body of a GET.

        Raises:
            Unavailable: Offline, no connection, time-out, 429 or 5xx after the retries.
            Rejected: Another 4xx; ``facts`` hold its ``status`` and what it ``said``. NoData: 204, 404.
            Malformed: Another status, a redirect too (it would carry the key to a stranger), or not JSON.
        """
        response = self._fine(question)
        import requests

        try:
            body: object = response.json()
        except requests.JSONDecodeError as error:
            raise _not_readable(question, "JSON") from error
        return body

    def get_bytes(self, question: Question) -> bytes:
        """The body of a GET as it came (XML, ZIP); errors as in ``get_json``."""
        return self._fine(replace(question, headers={"Accept": "*/*", **question.headers})).content

    def send(self, question: Question) -> bytes:
        """The body that answers a request of any method; errors as in ``get_json``."""
        return self._fine(question).content

    def get_text(self, question: Question) -> str:
        """The body of a GET as UTF-8 text; XML is better read from ``get_bytes``, because it names its own encoding.

        Raises:
            Malformed: It is not UTF-8; otherwise as in ``get_json``.
        """
        try:
            return self.get_bytes(question).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise _not_readable(question, "UTF-8 text") from error

    def _fine(self, question: Question) -> Response:
        """The answer, where its status is 200."""
        provider, operation = question.provider, question.operation
        if self.offline:
            raise Unavailable(
                f"{provider} was not asked: lowtide is offline.",
                provider=provider,
                operation=operation,
                hint="Unset LOWTIDE_OFFLINE (lowtide config set offline false) to allow the network.",
                offline=True,
            )
        import requests  # 0.2 s: only where the network is really asked

        try:
            response = self._answer(question)
        except requests.RequestException as error:
            # The library's own text holds the whole address, and so perhaps a key: only its kind is told.
            raise Unavailable(
                f"{provider} did not answer ({type(error).__name__}): {operation}.",
                provider=provider,
                operation=operation,
                hint="Try again later, or plan without it: --signal climatology.",
            ) from None
        if response.status_code != requests.codes.ok:
            raise_for(response, provider=provider, operation=operation, secrets=question.secrets())
        return response

    def _answer(self, question: Question) -> Response:
        """The first answer that is not to be asked for again, or the last one."""
        import requests

        session = _session()
        _log_filter().secrets.update(_spellings(question.secret_params))
        attempt = 0
        while True:
            asked_s: float | None = None
            self._wait_for_turn(question)
            try:
                response = session.request(
                    question.method,
                    question.url,
                    data=question.content,
                    params={**question.params, **question.secret_params},
                    headers=question.sent_headers(),
                    timeout=self.timeout_s,
                    allow_redirects=False,
                )
            except (requests.ConnectionError, requests.Timeout):
                if attempt >= min(self.retries, _RETRIES_UNANSWERED):
                    raise
            else:
                asked_s = _retry_after_s(response)
                if self.limits is not None and response.status_code == requests.codes.too_many and asked_s:
                    self.limits.hold(question.url, asked_s)
                if response.status_code not in _RETRIED or attempt >= self.retries or (asked_s or 0) > _LONGEST_WAIT_S:
                    return response
            self.sleep(max(asked_s or 0.0, _back_off_s(attempt)))
            attempt += 1

    def _wait_for_turn(self, question: Question) -> None:
        if self.limits is None:
            return
        wait_s = self.limits.take_turn(question.url, longest_s=self.timeout_s)
        if wait_s > self.timeout_s:
            raise Unavailable(
                f"{question.provider} was not asked: it may not be for another {wait_s:.0f} s "
                f"(its limit of requests): {question.operation}.",
                provider=question.provider,
                operation=question.operation,
                retry_after_s=wait_s,
                hint="Try again later, or plan without it: --signal climatology.",
            )
        if wait_s:
            self.sleep(wait_s)


def _not_readable(question: Question, form: str) -> Malformed:
    return Malformed(
        f"{question.provider} answered something that is not {form}: {question.operation}.",
        provider=question.provider,
        operation=question.operation,
    )


def _spellings(secret_params: Mapping[str, str]) -> Iterator[str]:
    """Each secret as it is, and as it stands in an address."""
    from urllib.parse import quote, quote_plus

    for secret in filter(None, secret_params.values()):
        yield from (secret, quote(secret, safe=""), quote_plus(secret))


class _HidingFilter(logging.Filter):
    """Hides the keys that travel in a query from the log of urllib3, which tells every address at level DEBUG."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        hidden = _hidden(said, sorted(self.secrets, key=len, reverse=True))
        if hidden != said:
            record.msg, record.args = hidden, ()
        return True


@cache
def _log_filter() -> _HidingFilter:
    found = _HidingFilter()
    for name in _LOGGERS_OF_ADDRESSES:
        logging.getLogger(name).addFilter(found)  # a logger's filter does not reach its children
    return found


def _hidden(text: str, secrets: Iterable[str]) -> str:
    for secret in filter(None, secrets):
        text = text.replace(secret, "(hidden)")
    return text


@cache
def _session() -> Session:
    """One for the process, so that connections are used again."""
    from importlib.metadata import version

    import requests

    session = requests.Session()
    session.auth = _auth_of_address
    session.headers["User-Agent"] = f"lowtide/{version('lowtide')}"
    session.headers["Accept"] = "application/json"
    return session


def _auth_of_address(request: PreparedRequest) -> PreparedRequest:
    """Only what the address itself says: otherwise ~/.netrc would replace the key in our headers."""
    from requests.auth import HTTPBasicAuth
    from requests.utils import get_auth_from_url

    user, password = get_auth_from_url(request.url or "")
    return HTTPBasicAuth(user, password)(request) if user or password else request


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
    told = f" ({said[:_LONGEST_TOLD]})" if said else ""
    raise error(
        f"{provider} answered {status}{told}: {operation}.",
        provider=provider,
        operation=operation,
        retry_after_s=_retry_after_s(response),
        hint=hint,
        status=status,
        said=said,
    )


def _said(response: Response, secrets: Iterable[str]) -> str:
    """What the body says in words, in whatever envelope; one line, without markup and the keys that were sent."""
    try:
        body = response.json()
    except ValueError:
        words = [_last_of_traceback(response.text) or re.sub(r"<[^>]*>", " ", response.text)]
    else:
        named = [body.get(name) for name in _NAMES_OF_WORDS] if isinstance(body, dict) else []
        inner = [word.get("message") or word.get("code") if isinstance(word, dict) else word for word in named]
        words = [word for word in inner if isinstance(word, str)]
    line = ": ".join(" ".join(word.split()).rstrip(":") for word in dict.fromkeys(words))
    return _hidden(line, secrets)[:_LONGEST_SAID]


def _last_of_traceback(text: str) -> str:
    """The error at the end of a Python traceback, which some services send as it is; empty where it is none."""
    if not text.startswith("Traceback "):
        return ""
    errors = [line for line in text.splitlines() if re.match(r"[\w.]+(Error|Exception)\b", line)]
    return errors[-1] if errors else ""


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
