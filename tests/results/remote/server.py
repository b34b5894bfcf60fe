"""An S3 server on loopback that fails when it is told to."""

from __future__ import annotations

import random
import socket
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

BUCKET = "bkt"
MIXED = ("error", "drop", "lost", "slow")
DENIED = (
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
)


class Server:
    """The server and its faults.

    Attributes
    ----------
    fault : str or None
        ``error`` (HTTP 500), ``drop`` (the connection is closed without a word), ``lost`` (done,
        but the answer is), ``hang``, ``slow`` (late), ``denied`` (HTTP 403), ``mixed``.
    share : float
        Of the calls that meet it, drawn by `seed`.
    spoken : Counter
        Calls that met each fault; those that met none are ``well``.
    """

    def __init__(self, seed: int = 0, hang: float = 3.0) -> None:
        self.fault: str | None = None
        self.share, self.hang = 1.0, hang
        self.spoken: Counter[str] = Counter()
        self.meets: Callable[[str, str], bool] = lambda method, path: True
        self.after: Callable[[str, str], None] = lambda method, path: None
        self._draw, self._lock = random.Random(seed), threading.Lock()
        from moto.core.models import DEFAULT_ACCOUNT_ID
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from moto.s3.models import s3_backends
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Silent(WSGIRequestHandler):
            def log(self, *_: Any, **__: Any) -> None: ...

        self._app = DomainDispatcherApplication(create_backend_app)
        self._kept = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        self._server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=Silent)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.call("PUT", f"/{BUCKET}")

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with self._lock:
            met = self.meets(method, path) and self._draw.random() < self.share
            fault = self.fault if met else None
            if fault == "mixed":
                fault = self._draw.choice(MIXED)
            self.spoken[fault or "well"] += 1
        if fault in ("error", "denied"):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            said = ("500 Internal Server Error", b"") if fault == "error" else ("403 No", DENIED)
            start(said[0], [("Content-Length", str(len(said[1])))])
            return [said[1]]
        if fault == "drop":
            return _dropped(environ)
        if fault == "hang":
            time.sleep(self.hang)
            return _dropped(environ)
        if fault == "slow":
            time.sleep(0.03)
        answer = self._app(environ, start)
        if fault == "lost":
            b"".join(answer)
            return _dropped(environ)
        self.after(method, path)
        return answer

    @contextmanager
    def failing(self, fault: str, share: float = 1.0) -> Iterator[None]:
        """While the block runs."""
        self.fault, self.share = fault, share
        try:
            yield
        finally:
            self.fault, self.share = None, 1.0

    def call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """One call, past pyarrow."""
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, body, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def uri(self, path: str, user: str = "AKIATEST:sec%2Fret@") -> str:
        """The address of a path in the bucket."""
        query = f"scheme=http&region=us-east-1&endpoint_override=127.0.0.1:{self.port}"
        return f"s3://{user}{BUCKET}/{path}?{query}"

    def names(self) -> list[str]:
        """The names of all files."""
        return list(self._kept.buckets[BUCKET].keys)

    def keep(self, key: str, content: bytes) -> None:
        """A file of any name, as no client would put it."""
        self._kept.put_object(BUCKET, key, content)

    def empty(self) -> None:
        """Remove every file."""
        self._kept.buckets[BUCKET].keys.clear()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _dropped(environ: dict[str, Any]) -> Iterable[bytes]:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError
