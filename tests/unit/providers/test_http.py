"""The door to the network: bodies of every kind, how keys travel, and that no message or log tells one."""

from __future__ import annotations

import logging
import threading
import traceback
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
import responses

from lowtide_core.errors import Malformed, NoData, ProviderError, Rejected, Unavailable
from lowtide_providers.http import Http, Question

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

URL = "https://invented.example/api"
KEY = "k3y/that nobody+may=see"
HTTP = Http(timeout_s=1.0, retries=0, sleep=lambda _: None)


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def _bytes(**more: object) -> bytes:
    return HTTP.get_bytes(Question(URL, provider="invented", operation="x", **more))  # type: ignore[arg-type]


def test_bytes_come_as_they_are_and_are_asked_for_in_any_form(net: responses.RequestsMock) -> None:
    body = b"PK\x03\x04\x00\xff\xfe"
    net.get(URL, body=body)
    assert _bytes() == body
    assert net.calls[0].request.headers["Accept"] == "*/*"


def test_a_form_may_be_asked_for(net: responses.RequestsMock) -> None:
    net.get(URL, body=b"<a/>")
    assert _bytes(headers={"Accept": "application/xml"}) == b"<a/>"
    assert net.calls[0].request.headers["Accept"] == "application/xml"


def test_text_is_utf8_whatever_the_header_says(net: responses.RequestsMock) -> None:
    net.get(URL, body="\ufeffMålt".encode(), content_type="text/plain; charset=latin-1")
    assert HTTP.get_text(Question(URL, provider="invented", operation="x")) == "Målt"


def test_what_is_no_text_is_malformed(net: responses.RequestsMock) -> None:
    net.get(URL, body=b"\xff\xfe\x00")
    with pytest.raises(Malformed, match="not UTF-8"):
        HTTP.get_text(Question(URL, provider="invented", operation="x"))


def test_an_answer_without_content_is_no_data(net: responses.RequestsMock) -> None:
    net.get(URL, status=204)
    with pytest.raises(NoData) as caught:
        HTTP.get_json(Question(URL, provider="invented", operation="x"))
    assert caught.value.facts["status"] == 204


def test_basic_carries_any_letters(net: responses.RequestsMock) -> None:
    net.get(URL, json={})
    HTTP.get_json(Question(URL, provider="invented", operation="x", basic=("jürgen", "pass:wörd€")))
    kind, _, code = str(net.calls[0].request.headers["Authorization"]).partition(" ")
    assert (kind, b64decode(code).decode()) == ("Basic", "jürgen:pass:wörd€")


def test_a_netrc_replaces_no_key(net: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    net.get(URL, json={})
    HTTP.get_json(Question(URL, provider="invented", operation="x", headers={"Authorization": "Bearer abc"}))
    assert net.calls[0].request.headers["Authorization"] == "Bearer abc"


def test_an_address_may_carry_its_own_login(net: responses.RequestsMock) -> None:
    address = "https://user:word@invented.example/api"
    net.get(address, json={})
    HTTP.get_json(Question(address, provider="invented", operation="x"))
    assert str(net.calls[0].request.headers["Authorization"]).startswith("Basic ")


@pytest.mark.parametrize(
    "sent",
    [
        {"secret_params": {"key": KEY}},
        {"headers": {"auth-token": KEY}},
        {"headers": {"Authorization": f"Bearer {KEY}"}},
        {"basic": ("somebody", KEY)},
    ],
    ids=["query", "header", "bearer", "basic"],
)
def test_no_error_tells_a_key_that_the_service_says_back(net: responses.RequestsMock, sent: dict[str, object]) -> None:
    net.get(URL, status=400, body=f"<p>{KEY} at /api?key=k3y%2Fthat+nobody%2Bmay%3Dsee is bad</p>")
    with pytest.raises(Rejected) as caught:
        _bytes(**sent)
    shown = "".join(traceback.format_exception(caught.value)) + str(caught.value.facts)
    assert KEY not in shown
    assert "is bad" in caught.value.message
    if "secret_params" in sent:
        assert "k3y" not in shown


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"error":"Invalid query parameters","message":"Invalid scope."}', "Invalid query parameters: Invalid scope."),
        ('{"title":"ArgumentException","detail":"Invalid parameters"}', "ArgumentException: Invalid parameters"),
        ('{"error":{"code":"API_KEY_INVALID","message":"Bad key."}}', "Bad key."),
        ("<Reason><code>999</code><text>No matching data\nfound</text></Reason>", "999 No matching data found"),
        ('{"error":"same","message":"same"}', "same"),
        ('["a list"]', ""),
        ('{"error":{"code":7}}', ""),
    ],
)
def test_what_a_service_says_is_read_in_every_envelope(net: responses.RequestsMock, body: str, said: str) -> None:
    net.get(URL, status=400, body=body)
    with pytest.raises(ProviderError) as caught:
        _bytes()
    assert caught.value.facts["said"] == said


def test_a_long_answer_is_told_short_and_kept_longer(net: responses.RequestsMock) -> None:
    net.get(URL, status=400, body="many words " * 200)
    with pytest.raises(Rejected) as caught:
        _bytes()
    assert len(caught.value.message) < 250
    assert len(str(caught.value.facts["said"])) == 1000


class _Echo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def local_url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_question_shows_no_key() -> None:
    asked = Question(URL, "invented", "x", {"zone": "DE"}, {"key": KEY}, {"auth-token": KEY}, ("somebody", KEY))
    assert "DE" in repr(asked)
    assert KEY not in repr(asked)


def test_debug_logs_tell_the_address_and_not_the_key_in_it(local_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable) as caught:
        HTTP.get_json(
            Question(local_url, provider="invented", operation="x", params={"zone": "DE"}, secret_params={"key": KEY})
        )
    shown = caplog.text + "".join(f"{record.msg} {record.args}" for record in caplog.records)
    assert "zone=DE" in caplog.text, "urllib3 logged nothing: this test sees nothing"
    assert "k3y" not in shown
    assert "k3y" not in str(caught.value) + str(caught.value.facts)
