# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes and hooks over the network: httpGet, tcpSocket, grpc."""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import threading
import time
import urllib.parse
from typing import Any, Callable, Mapping

from .probes import Outcome

OUTPUT_LIMIT = 10 * 1024  # bytes of an answer that a probe looks at
# Who hangs up in the middle of a longer answer fills the daemon's log with errors; so much is let run out, for so long.
PATIENCE_BYTES = 1 << 20
PATIENCE_SECONDS = 0.3
REDIRECTS = (301, 302, 303, 307, 308)
REDIRECT_LIMIT = 10
URL_CHARACTERS = "!$%&'()*+,-./:;=?@[]_~"  # what a request line may hold as it is

# HTTP/2 (RFC 9113)
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
FRAME_LIMIT = 16384
HEALTH = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}  # grpc.health.v1


def ask(probe: Mapping[str, Any], address: str, timeout: float) -> Outcome:
    """Do one probe once."""
    try:
        return _within(timeout, lambda: _once(probe, address, timeout))
    except socket.timeout:
        return False, f"no answer within {timeout:g} s"
    except (OSError, ValueError) as error:
        return False, str(error) or type(error).__name__


def _once(probe: Mapping[str, Any], address: str, timeout: float) -> Outcome:
    if "httpGet" in probe:
        return _http_get(probe["httpGet"], address, timeout)
    if "tcpSocket" in probe:
        return _tcp_socket(probe["tcpSocket"], address, timeout)
    return _grpc(probe["grpc"], address, timeout)


def _within(timeout: float, ask: Callable[[], Outcome]) -> Outcome:
    """The outcome, or socket.timeout: a socket's own timeout begins anew with every byte, and there is none for DNS."""
    outcomes: list[Outcome] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            outcomes.append(ask())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout)
    if errors:
        raise errors[0]
    if not outcomes:
        raise socket.timeout()
    return outcomes[0]


# ------------------------------------------------------------------------------------------------------- HTTP and TCP


def _http_get(action: Mapping[str, Any], address: str, timeout: float) -> Outcome:
    """200 to 399 succeeds."""
    answer, url = http_answer(action, address, timeout)
    if 200 <= answer.status < 400:
        return True, ""
    return False, f"HTTP {answer.status} {answer.reason} on {urllib.parse.urlsplit(url).path}"


def http_answer(action: Mapping[str, Any], address: str, timeout: float | None) -> tuple[http.client.HTTPResponse, str]:
    """The last answer and its URL; OSError or ValueError without one.

    Redirects on the same host are followed, one to another host is an answer. Certificates are not checked
    (pkg/probe/http: NewWithTLSConfig, RedirectChecker).
    """
    host, path = action.get("host") or address, action.get("path") or "/"
    url = "{}://{}:{}{}{}".format(
        str(action.get("scheme") or "HTTP").lower(),
        f"[{host}]" if ":" in host else host,
        action["port"],
        "" if path.startswith("/") else "/",
        path,
    )
    headers = _headers(action.get("httpHeaders", []))
    for _request in range(REDIRECT_LIMIT):
        answer = _request_once(url, headers, timeout)
        location = answer.getheader("Location")
        if answer.status not in REDIRECTS or not location:
            return answer, url
        target = urllib.parse.urljoin(url, location)
        if urllib.parse.urlsplit(target).hostname != urllib.parse.urlsplit(url).hostname:
            return answer, url
        if urllib.parse.urlsplit(location).netloc:  # as Go's client: the header was meant for the first URL
            headers = [(name, value) for name, value in headers if name.lower() != "host"]
        url = target
    raise OSError(f"stopped after {REDIRECT_LIMIT} redirects")


def _headers(given: list[dict[str, str]]) -> list[tuple[str, str]]:
    """What the kubelet sends: its own headers unless they are given, and no Accept if that is given empty."""
    names = {header["name"].lower() for header in given}
    own = [("User-Agent", "kube-probe/everynode"), ("Accept", "*/*"), ("Connection", "close")]
    headers = [(name, value) for name, value in own if name.lower() not in names]
    headers += [(header["name"], header.get("value", "")) for header in given]
    return [(name, value) for name, value in headers if value or name.lower() not in ("accept", "host")]


def _request_once(url: str, headers: list[tuple[str, str]], timeout: float | None) -> http.client.HTTPResponse:
    parts = urllib.parse.urlsplit(url)
    connection = _connection(parts, timeout)
    try:
        selector = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        connection.putrequest(
            "GET", urllib.parse.quote(selector, safe=URL_CHARACTERS), skip_host=True, skip_accept_encoding=True
        )
        if not any(name.lower() == "host" for name, _value in headers):
            connection.putheader("Host", parts.netloc)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        sock = connection.sock
        answer = connection.getresponse()
        body = answer.read(OUTPUT_LIMIT)
        if answer.length and len(body) < OUTPUT_LIMIT:
            raise http.client.IncompleteRead(body, answer.length)
        _let_run_out(answer, sock)
        return answer
    except http.client.HTTPException as error:
        raise OSError(str(error) or type(error).__name__) from error
    finally:
        connection.close()


def _let_run_out(answer: http.client.HTTPResponse, sock: socket.socket) -> None:
    """The outcome is known by now, whatever becomes of this."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    left = PATIENCE_BYTES
    try:
        sock.settimeout(PATIENCE_SECONDS)
        while left > 0 and time.monotonic() < deadline:
            rest = answer.read1(left)
            if not rest:
                return
            left -= len(rest)
    except (OSError, http.client.HTTPException):
        pass


def _connection(url: urllib.parse.SplitResult, timeout: float | None) -> http.client.HTTPConnection:
    host = url.hostname or ""
    if url.scheme == "http":
        return http.client.HTTPConnection(host, url.port, timeout=timeout)
    if url.scheme != "https":
        raise ValueError(f"redirected to {url.scheme}://, which is neither http nor https")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, url.port, timeout=timeout, context=context)


def _tcp_socket(action: Mapping[str, Any], address: str, timeout: float) -> Outcome:
    socket.create_connection((action.get("host") or address, int(action["port"])), timeout).close()
    return True, ""


# --------------------------------------------------------------------------------------------------------------- gRPC


def _grpc(action: Mapping[str, Any], address: str, timeout: float) -> Outcome:
    """grpc.health.v1.Health/Check over plaintext HTTP/2, just as much of it as one unary call needs."""
    service = (action.get("service") or "").encode()
    message = (b"\x0a" + _varint(len(service)) + service) if service else b""
    with socket.create_connection((address, int(action["port"])), timeout) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(SETTINGS, 0, 0, b""))
        connection.sendall(_frame(HEADERS, END_HEADERS, 1, _grpc_headers()))
        connection.sendall(_frame(DATA, END_STREAM, 1, b"\0" + struct.pack(">I", len(message)) + message))
        body = _grpc_body(connection)
    if not body:
        detail = "it knows no such service, or has no grpc.health.v1.Health"
        return False, f"the server does not tell the health of {service.decode()!r}: {detail}"
    # Five bytes before the message: compressed?, length. Its one field is the status, which is absent if it is 0.
    status = body[6] if body[5:6] == b"\x08" else 0
    return status == 1, "" if status == 1 else f"the service {service.decode()!r} is {HEALTH.get(status, status)}"


def _grpc_body(connection: socket.socket) -> bytes:
    """The data of the first stream, up to its end; empty if the call failed, which only headers would explain."""
    body = b""
    while True:
        length, kind, flags, stream = _frame_head(_receive(connection, 9))
        if length > FRAME_LIMIT:
            raise OSError("the server does not speak HTTP/2")
        payload = _receive(connection, length)
        if kind in (SETTINGS, PING) and not flags & ACK:
            connection.sendall(_frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == GOAWAY or (kind == RST_STREAM and stream == 1):
            raise OSError("the server closed the call")
        elif kind == DATA and stream == 1:
            body += payload[1 : length - payload[0]] if flags & PADDED else payload
        if stream == 1 and kind in (DATA, HEADERS) and flags & END_STREAM:
            return body


def _varint(number: int) -> bytes:
    result = b""
    while number > 127:
        result += bytes([number & 127 | 128])
        number >>= 7
    return result + bytes([number])


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _frame_head(head: bytes) -> tuple[int, int, int, int]:
    return int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF


def _receive(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        chunk = connection.recv(length - len(data))
        if not chunk:
            raise OSError("the server closed the connection")
        data += chunk
    return data


def _grpc_headers() -> bytes:
    """Header block of literal fields without indexing (RFC 7541), so that no dynamic table is needed."""
    fields = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    )
    return b"".join(b"\0" + bytes([len(k)]) + k.encode() + bytes([len(v)]) + v.encode() for k, v in fields)
