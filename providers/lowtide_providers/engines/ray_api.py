"""Ray's HTTP Jobs API, and what its failures mean. No ``ray`` is imported.

no answer, TLS, 429, 5xx   Unavailable   the same call is tried again by whoever asks
401, 403                   Rejected      a token is missing or wrong
400                        InputError    this submission will never be accepted
404 of a job, "already exists"           not a failure: an answer
an address that is none                  InputError
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from lowtide_core.errors import InputError, Malformed, NoData, ProviderError, Rejected, Unavailable
from lowtide_providers.http import Http, Question

if TYPE_CHECKING:
    from collections.abc import Mapping

Object = dict[str, Any]

PROVIDER = "ray"
DEFAULT_ADDRESS = "http://127.0.0.1:8265"


@dataclass(frozen=True, slots=True)
class RayApi:
    """The dashboard of one cluster.

    Attributes:
        address: Of the dashboard: ``http://head:8265``.
        token: Sent as a bearer's. headers: Sent as they are, for what stands before the dashboard.
    """

    address: str = DEFAULT_ADDRESS
    token: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 20.0
    offline: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if parts.scheme in ("http", "https") and parts.hostname:
            return
        hint = "Give the address of its dashboard: http://head:8265."
        if parts.scheme == "ray" or self.address == "auto" or not parts.scheme:
            hint = f"That is the address of its client or of its head; give its dashboard's: {DEFAULT_ADDRESS}."
        raise InputError(f"{self.address!r} is no address of Ray's Jobs API.", hint=hint, address=self.address)

    def jobs(self) -> list[Object]:
        """Every job that the cluster knows, in one question."""
        found = self._json("GET", "/api/jobs/", "list jobs")
        if not isinstance(found, list):
            raise self._malformed("list jobs")
        return found

    def job(self, submission_id: str) -> Object | None:
        """The job of that id; None where there is none."""
        try:
            found = self._json("GET", _path(submission_id), "read a job")
        except NoData:
            return None
        if not isinstance(found, dict):
            raise self._malformed("read a job")
        return found

    def submit(self, body: Object) -> bool:
        """Starts it; False where a job of its ``submission_id`` is there already.

        Ray tells of a taken id with the same status as of its own faults, so it is asked whether the job is there.
        """
        try:
            self._json("POST", "/api/jobs/", "submit a job", body)
        except Unavailable as error:
            if error.facts.get("status") != 500 or self.job(body["submission_id"]) is None:
                raise
            return False
        return True

    def stop(self, submission_id: str) -> bool:
        """Tells it to stop; False where there is no such job. What has ended is left as it is."""
        try:
            self._json("POST", _path(submission_id, "stop"), "stop a job")
        except NoData:
            return False
        return True

    def log(self, submission_id: str) -> bytes | None:
        """What it has printed; None where there is no such job."""
        try:
            found = self._json("GET", _path(submission_id, "logs"), "read a log")
        except NoData:
            return None
        if not isinstance(found, dict) or not isinstance(found.get("logs"), str):
            raise self._malformed("read a log")
        return str(found["logs"]).encode()

    def bring(self, package: str, content: bytes) -> str:
        """Puts a package into the cluster where it is not there yet; its address for ``runtime_env``."""
        path = f"/api/packages/gcs/{package}"
        try:
            self._send("GET", path, "look for a package")
        except NoData:
            self._send("PUT", path, "bring a package", content)
        return f"gcs://{package}"

    def _json(self, method: str, path: str, operation: str, body: Object | None = None) -> Any:
        answer = self._send(method, path, operation, None if body is None else json.dumps(body).encode())
        try:
            return json.loads(answer)
        except ValueError as error:
            raise self._malformed(operation) from error

    def _send(self, method: str, path: str, operation: str, content: bytes | None = None) -> bytes:
        headers = {"Content-Type": "application/json", **self.headers}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        url = self.address.rstrip("/") + path
        question = Question(url, PROVIDER, operation, headers=headers, method=method, content=content)
        http = Http(self.timeout_s, retries=0, offline=self.offline)  # who asks again is for dispatch to say
        try:
            return http.send(question)
        except NoData:
            raise
        except ProviderError as error:
            raise self._told(operation, error) from error

    def _told(self, operation: str, error: ProviderError) -> ProviderError | InputError:
        status, said = error.facts.get("status"), str(error.facts.get("said") or "")
        facts: dict[str, Any] = {"address": self.address, "status": status, "said": said}
        if error.facts.get("offline"):
            return error
        if status in (400, 422):
            return InputError(f"Ray refuses to {operation}: {said}.", hint="Change what it names.", **facts)
        if isinstance(error, Rejected):
            return Rejected(
                f"Ray at {self.address} answers {status} to {operation}: {said or 'no right'}.",
                provider=PROVIDER,
                operation=operation,
                hint="Set ray_token (RAY_AUTH_TOKEN), or what the proxy before it wants in RAY_JOB_HEADERS.",
                **facts,
            )
        if not isinstance(error, Unavailable):
            return self._malformed(operation)
        if status is None:
            message = f"Ray at {self.address} does not answer: {operation}."
            hint = "Is its head up, and is this the address of its dashboard? Set ray_address (RAY_ADDRESS)."
        else:
            message, hint = f"Ray at {self.address} answers {status} to {operation}: {said}.", "Try again later."
        return Unavailable(
            message, provider=PROVIDER, operation=operation, retry_after_s=error.retry_after_s, hint=hint, **facts
        )

    def _malformed(self, operation: str) -> Malformed:
        return Malformed(
            f"{self.address} answers something that is not Ray's Jobs API: {operation}.",
            provider=PROVIDER,
            operation=operation,
            hint=f"Is it the address of a dashboard, such as {DEFAULT_ADDRESS}?",
            address=self.address,
        )


def _path(submission_id: str, *more: str) -> str:
    return "/".join(("/api/jobs", quote(submission_id, safe=""), *more))
