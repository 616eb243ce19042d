"""Files behind a URL: a folder over HTTP on this machine, and fsspec's file system in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import fsspec


class Server(ThreadingHTTPServer):
    asked: list[str]  # every request: method, path, range
    failing: int = 0  # requests for .tar that are still to fail
    ranges: bool = True


class Handler(SimpleHTTPRequestHandler):
    """A folder, with ranges if the server gives them."""

    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range") or ""
        self.server.asked.append(f"GET {self.path} {wanted}".strip())
        path = Path(self.translate_path(self.path))
        if self.path.endswith(".tar") and self.server.failing > 0:
            self.server.failing -= 1
            self.send_error(503)
        elif wanted and self.server.ranges and path.is_file():
            first, last = (int(word) for word in wanted.removeprefix("bytes=").split("-"))
            content = path.read_bytes()
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{min(last, len(content) - 1)}/{len(content)}")
            self.send_header("Content-Length", str(len(content[first : last + 1])))
            self.end_headers()
            self.wfile.write(content[first : last + 1])
        else:
            super().do_GET()

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


@contextmanager
def served(folder: Path, **settings: Any) -> Iterator[tuple[str, Server]]:
    """The URL of a folder, and its server."""
    server = Server(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.asked = []
    for name, value in settings.items():
        setattr(server, name, value)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def in_memory(folder: Path, name: str) -> str:
    """The URL of a folder's files, copied to memory."""
    for path in folder.iterdir():
        fsspec.filesystem("memory").pipe(f"/{name}/{path.name}", path.read_bytes())
    return f"memory://{name}"
