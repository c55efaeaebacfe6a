"""A proxy between a service and its cluster: passes requests on to a real node, and fails as a test tells it to.

It can use TLS, with a certificate of its own, and require a user and a password, which the test distribution of
OpenSearch cannot.
"""

from __future__ import annotations

import base64
import http.client
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# busy: 429, as search backpressure answers
# html: a page in place of a reply
# broken: half a reply
# cut: no reply
# lost: no reply, though the node did what was requested
# slow: a reply after longer than a service waits
# late: a reply after almost as long as a service waits
# partial, timed_out: the reply says that it is incomplete
Fault = Literal["", "busy", "html", "broken", "cut", "lost", "slow", "late", "partial", "timed_out"]
BUSY = (
    b'{"error":{"root_cause":[{"type":"rejected_execution_exception","reason":"cancelled task: cpu usage"}],'
    b'"type":"search_phase_execution_exception","reason":"all shards failed"},"status":429}'
)
SLOW_S = 30.0
LATE_S = 0.4


class Proxy:
    """A running proxy.

    fault: how it fails
    only: part of a path; requests for other paths do not fail
    n_requests: requests so far
    """

    def __init__(self, port: int, *, certificate: Path | None = None, user: str = "", password: str = "") -> None:
        self.fault: Fault = ""
        self.only = ""
        self.n_requests = 0
        self._node_port = port
        self._expected = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else ""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Send each reply at once: separate packets would be delayed.
            wbufsize = -1

            def _pass_on(self) -> None:
                proxy.answer(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass_on  # noqa: N815 - named by http.server

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by http.server
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if certificate is not None else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Pass a request on, or fail it."""
        self.n_requests += 1
        body = request.rfile.read(int(request.headers.get("content-length", 0)))
        if self._expected and request.headers.get("authorization") != self._expected:
            _answer(request, 401, b"Unauthorized", "text/plain")
            return
        fault = self.fault if self.only in request.path else ""
        if fault == "busy":
            _answer(request, 429, BUSY, "application/json")
        elif fault == "html":
            _answer(request, 200, b"<html><body>Please sign in</body></html>", "text/html")
        elif fault == "cut":
            request.close_connection = True
        else:
            if fault in ("slow", "late"):
                time.sleep(SLOW_S if fault == "slow" else LATE_S)
            node = http.client.HTTPConnection("127.0.0.1", self._node_port, timeout=300)
            try:
                node.request(
                    request.command, request.path, body, {"content-type": request.headers.get("content-type", "")}
                )
                reply = node.getresponse()
                reply_body = reply.read()
            finally:
                node.close()
            if fault == "lost":
                request.close_connection = True
                return
            if fault == "partial":
                reply_body = reply_body.replace(b'"skipped":0,"failed":0', b'"skipped":0,"failed":1')
            elif fault == "timed_out":
                reply_body = reply_body.replace(b'"timed_out":false', b'"timed_out":true')
            reply_body = reply_body[: len(reply_body) // 2] if fault == "broken" else reply_body
            _answer(request, reply.status, reply_body, reply.headers.get("content-type", "application/json"))


def _answer(request: BaseHTTPRequestHandler, status: int, body: bytes, content_type: str) -> None:
    request.send_response(status)
    request.send_header("content-type", content_type)
    request.send_header("content-length", str(len(body)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


@contextmanager
def proxy(port: int, *, certificate: Path | None = None, user: str = "", password: str = "") -> Iterator[Proxy]:
    running = Proxy(port, certificate=certificate, user=user, password=password)
    try:
        yield running
    finally:
        running.close()


def self_signed(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1 and its key; return the file of the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "searchsvc-test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate = folder / "node.pem"
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate.with_suffix(".key").write_bytes(secret)
    return certificate
