"""The way to a cluster: kubeconfig and contexts, the calls that the engine makes, and what their failures mean.

How a failure is told, by what the cluster or the client says:

    no answer, TLS, 429, 5xx      Unavailable   the same call is tried again by whoever asks
    403 of a quota                Unavailable   room may come back
    401, 403, 404 of a namespace  Rejected      somebody must grant or make something
    400, 422                      InputError    this object will never be accepted
    404, 409 of an object         not a failure: an answer
    no client, kubeconfig or context            InputError
"""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowtide_core.errors import InputError, Malformed, Rejected, Unavailable, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowtide_core.errors import LowtideError

Object = dict[str, Any]
"""A Kubernetes object as JSON."""

_PROVIDER = "kubernetes"
_TIMEOUT_S = (5.0, 15.0)
_IN_CLUSTER = "in-cluster"
_NAMESPACE_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
_MOST_SAID = 300


class _Absent(Exception):
    """The object is not there, or not of that version: an answer, not a failure."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where clusters are found.

    Attributes:
        kubeconfig: One file, or several with colons between, as in ``KUBECONFIG``.
        contexts: Regions, and the context that stands for each. One that is not here is of the current context.
        namespace: Instead of the context's own.
        in_cluster: We run in a pod: without a kubeconfig its service account is used.
        offline: Refuse before any socket is opened.
    """

    kubeconfig: str
    contexts: tuple[tuple[str, str], ...] = ()
    namespace: str = ""
    in_cluster: bool = False
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """One context: the official client behind the few calls that are needed. All answers are plain JSON.

    Attributes:
        context: Its name in the kubeconfig. host: Its address, for messages.
    """

    context: str
    namespace: str
    host: str
    api: Any = field(repr=False)

    def create(self, kind: str, body: Object, *, dry_run: bool = False) -> Object | None:
        """Makes the object; None where one of its name is there already."""
        options = {"dry_run": "All"} if dry_run else {}
        call = self._method("create", kind)
        return self._asked(f"create a {_WORDS[kind]}", 409, lambda: call(self.namespace, body, **options, **_RAW))

    def read(self, kind: str, name: str) -> Object | None:
        """The object; None where there is none."""
        call = self._method("read", kind)
        return self._asked(f"read the {_WORDS[kind]} {name}", 404, lambda: call(name, self.namespace, **_RAW))

    def patch(self, kind: str, name: str, change: Object) -> Object | None:
        """The object after the change; None where it has gone, or is not of the version that ``change`` names."""
        call = self._method("patch", kind)
        operation = f"change the {_WORDS[kind]} {name}"
        return self._asked(operation, (404, 409), lambda: call(name, self.namespace, change, **_RAW))

    def list(self, kind: str, selector: str) -> list[Object]:
        """Every object of that kind with these labels, in one question."""
        call = self._method("list", kind)
        found = self._asked(f"list {_WORDS[kind]}s", (), lambda: call(self.namespace, label_selector=selector, **_RAW))
        items = (found or {}).get("items")
        if not isinstance(items, list):
            raise self._malformed(f"list {_WORDS[kind]}s")
        return items

    def log(self, pod: str, container: str) -> bytes | None:
        """What a container has printed so far; None where its pod, or its log, has gone."""
        call = self.api.CoreV1Api().read_namespaced_pod_log
        with suppress(_Absent), self._told("read a log", (400, 404)):
            return bytes(call(pod, self.namespace, container=container, **_RAW).data)
        return None

    def log_until_end(self, pod: str, container: str, most_s: float) -> Iterator[bytes]:
        """What a container prints, from its beginning until it ends or says nothing for so long."""
        call = self.api.CoreV1Api().read_namespaced_pod_log
        raw = {**_RAW, "_request_timeout": (_TIMEOUT_S[0], most_s)}
        with suppress(_Absent), self._told("follow a log", (400, 404)):
            yield from call(pod, self.namespace, container=container, follow=True, **raw).stream(8192)

    def _method(self, verb: str, kind: str) -> Callable[..., Any]:
        apis = {"job": self.api.BatchV1Api, "pod": self.api.CoreV1Api, "config_map": self.api.CoreV1Api}
        method: Callable[..., Any] = getattr(apis[kind](), f"{verb}_namespaced_{kind}")
        return method

    def _asked(self, operation: str, none_at: int | tuple[int, ...], call: Callable[[], Any]) -> Object | None:
        with suppress(_Absent), self._told(operation, none_at if isinstance(none_at, tuple) else (none_at,)):
            try:
                answer = json.loads(call().data)
            except ValueError as error:
                raise self._malformed(operation) from error
            if not isinstance(answer, dict):
                raise self._malformed(operation)
            return answer
        return None

    @contextmanager
    def _told(self, operation: str, none_at: tuple[int, ...]) -> Iterator[None]:
        """Turns what the client raises into the tree's errors; the statuses of ``none_at`` are ``_Absent``.

        An object that is not there is an answer; a namespace that is not there is a failure.
        """
        import urllib3

        try:
            yield
        except (urllib3.exceptions.HTTPError, OSError) as error:  # OSError: a certificate's file, a broken pipe
            raise self._unreachable(operation, error) from error
        except Exception as error:  # the client's own class cannot be named without the client
            if not hasattr(error, "status"):
                raise
            status, said = _said(error)
            if status in none_at and not _names_no_namespace(status, said):
                raise _Absent from error
            raise self._failure(operation, status, said, error) from error

    def _unreachable(self, operation: str, error: Exception) -> Unavailable:
        return Unavailable(
            f"The cluster of context {self.context} ({self.host}) does not answer: {_reason(error)}.",
            provider=_PROVIDER,
            operation=operation,
            hint="Check the network, and the context: kubectl cluster-info.",
            context=self.context,
        )

    def _malformed(self, operation: str) -> Malformed:
        return Malformed(
            f"The cluster of context {self.context} answered something that is no Kubernetes object: {operation}.",
            provider=_PROVIDER,
            operation=operation,
            hint=f"Is {self.host} a Kubernetes API server?",
            context=self.context,
        )

    def _failure(self, operation: str, status: int, said: str, error: Any) -> LowtideError:
        facts: dict[str, Any] = {"context": self.context, "namespace": self.namespace, "status": status, "said": said}
        where = f"context {self.context}, namespace {self.namespace}"
        if status in (400, 422):
            hint = "Change what it names: an option, or the manifest."
            return InputError(f"The cluster refuses to {operation}: {said} ({where}).", hint=hint, **facts)
        if status == 403 and "exceeded quota" in said:
            message, hint = f"The quota of {where} is used up: {said}.", "Wait, ask for more, or ask for less."
            return Unavailable(message, provider=_PROVIDER, operation=operation, hint=hint, **facts)
        rejected = {
            401: (f"The cluster does not know who asks ({where}).", "Log in again; kubectl get jobs must work."),
            403: (
                f"No right to {operation} in {where}: {said}.",
                "Have the role of docs/kubernetes.md bound to this account.",
            ),
            404: (
                f"There is nothing to {operation} in: {said} ({where}).",
                f"Make the namespace, or name another: kubectl create namespace {self.namespace}.",
            ),
        }
        if status in rejected:
            message, hint = rejected[status]
            return Rejected(message, provider=_PROVIDER, operation=operation, hint=hint, **facts)
        if status == 429 or status >= 500:
            return Unavailable(
                f"The cluster answers {status}: {said} ({where}).",
                provider=_PROVIDER,
                operation=operation,
                retry_after_s=_retry_after_s(error),
                hint="Try again later.",
                **facts,
            )
        return Malformed(
            f"The cluster answers {status} to {operation}: {said}.", provider=_PROVIDER, operation=operation, **facts
        )


_WORDS = {"job": "Job", "pod": "Pod", "config_map": "ConfigMap"}

_RAW: dict[str, Any] = {"_preload_content": False, "_request_timeout": _TIMEOUT_S}
"""Answers as they come: the client's own models cost a millisecond an object, and refuse what they do not know."""


def connect(access: Access, region: str) -> Cluster:
    """The cluster that stands for a region; no question is asked of it yet.

    Raises:
        InputError: No client, no kubeconfig, no such context, or damaged ones.
        Unavailable: Offline.
    """
    if access.offline:
        raise Unavailable(
            "The cluster was not asked: lowtide is offline.",
            provider=_PROVIDER,
            operation="connect",
            hint="Unset LOWTIDE_OFFLINE (lowtide config set offline false) to allow the network.",
            offline=True,
        )
    return _connected(access, dict(access.contexts).get(region, ""), _states(access.kubeconfig))


def connect_all(access: Access) -> tuple[Cluster, ...]:
    """Every cluster in which something of ours may be: those of the regions, and the current one."""
    regions = ["", *(region for region, _ in access.contexts)]
    return tuple({cluster.context: cluster for cluster in (connect(access, region) for region in regions)}.values())


@cache
def _connected(access: Access, context: str, _: tuple[int, ...]) -> Cluster:
    """Once for a process, as long as its kubeconfig stays as it is: connections are used again."""
    config, client = _client()
    load: Callable[[], object]
    configuration = client.Configuration()
    if not _any_file(access.kubeconfig):
        if not access.in_cluster or context:
            raise InputError(
                f"There is no kubeconfig {access.kubeconfig}.",
                hint="Name one in KUBECONFIG, or log in to the cluster: its provider's tool writes one.",
                path=access.kubeconfig,
            )
        name, namespace = _IN_CLUSTER, _own_namespace()
        load = lambda: config.load_incluster_config(client_configuration=configuration)  # noqa: E731
    else:
        name, namespace = _context(config, access.kubeconfig, context)
        load = lambda: config.load_kube_config(  # noqa: E731
            config_file=access.kubeconfig, context=name, client_configuration=configuration
        )
    try:
        load()
    except (config.ConfigException, OSError, ValueError) as error:
        raise InputError(
            f"The context {name} cannot be used: {_reason(error)}.", hint="kubectl get jobs must work.", context=name
        ) from error
    configuration.retries = 0  # who asks again is for dispatch to say
    shared = client.ApiClient(configuration)
    return Cluster(name, access.namespace or namespace or "default", configuration.host, _Apis(client, shared))


class _Apis:
    """The groups of the client's calls, over one pool of connections."""

    def __init__(self, client: Any, shared: Any) -> None:
        self._client, self._shared = client, shared

    def BatchV1Api(self) -> Any:  # noqa: N802  as the client names it
        return self._client.BatchV1Api(self._shared)

    def CoreV1Api(self) -> Any:  # noqa: N802
        return self._client.CoreV1Api(self._shared)


def _client() -> tuple[Any, Any]:
    try:
        return import_module("kubernetes.config"), import_module("kubernetes.client")
    except ModuleNotFoundError as error:
        raise InputError(
            "The engine 'kubernetes' needs the official client, which is not installed.",
            hint="pip install 'lowtide[kubernetes]'",
            missing=error.name,
        ) from error


def _states(kubeconfig: str) -> tuple[int, ...]:
    """What changes when somebody logs in again."""
    files = [Path(part).expanduser() for part in kubeconfig.split(":") if part]
    return tuple(file.stat().st_mtime_ns for file in files if file.is_file())


def _any_file(kubeconfig: str) -> bool:
    return any(Path(part).expanduser().is_file() for part in kubeconfig.split(":") if part)


def _context(config: Any, kubeconfig: str, wanted: str) -> tuple[str, str]:
    """Name and namespace of the context, the current one where none is named."""
    try:
        contexts, current = config.list_kube_config_contexts(config_file=kubeconfig)
        named = {item["name"]: item["context"] for item in contexts}
        name = wanted or current["name"]
    except (config.ConfigException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"The kubeconfig {kubeconfig} cannot be used: {_reason(error)}.", hint="Mend it, or name another."
        ) from error
    except Exception as error:
        if not type(error).__module__.startswith("yaml"):
            raise
        raise InputError(
            f"The kubeconfig {kubeconfig} is not YAML.", hint="Mend it, or name another.", path=kubeconfig
        ) from error
    if name not in named:
        raise InputError(
            f"The kubeconfig {kubeconfig} has no context {name!r}.",
            hint=nearest(name, named) or f"It has {', '.join(sorted(named))}.",
            context=name,
        )
    return name, str(named[name].get("namespace") or "")


def _own_namespace() -> str:
    try:
        return Path(_NAMESPACE_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _said(error: Any) -> tuple[int, str]:
    """Status and message of an answer that is a failure."""
    status = getattr(error, "status", None)
    body = getattr(error, "body", None) or ""
    said = ""
    with suppress(ValueError, TypeError, AttributeError):
        said = str(json.loads(body).get("message") or "")
    said = said or str(getattr(error, "reason", "") or "")
    return (status if isinstance(status, int) else 0), " ".join(said.split())[:_MOST_SAID].rstrip(".")


def _names_no_namespace(status: int, said: str) -> bool:
    return status == 404 and said.startswith("namespaces ")


def _retry_after_s(error: Any) -> float | None:
    value = str((getattr(error, "headers", None) or {}).get("Retry-After", ""))
    return float(value) if value.isdigit() else None


def _reason(error: BaseException) -> str:
    """The innermost reason, without the addresses of objects that libraries put into their texts."""
    inner = getattr(error, "reason", None)
    if isinstance(inner, BaseException):
        return _reason(inner)
    text = str(inner or error)
    return " ".join(text.rpartition(">: ")[2].rpartition("): ")[2].split()).rstrip(".") or type(error).__name__
