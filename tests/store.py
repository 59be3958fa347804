"""An object store of the tests' own: moto's, in a process of its own, on the port it is given or one that it prints.

It ends with its input.

moto looks whether an object is there and writes it in two steps, where a real store does it in one: so one request at a time.
"""

import sys
import threading
from collections.abc import Iterable
from typing import Any


class OneAtATime:
    """A WSGI app behind a lock."""

    def __init__(self, app: Any) -> None:
        self._app, self._lock = app, threading.Lock()

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        with self._lock:
            return list(self._app(environ, start_response))


if __name__ == "__main__":
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = OneAtATime(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0, app, threaded=True)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
