"""RemoteMonitor posts each epoch to a server, as Keras's does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest

from torchfunc.callbacks import RemoteMonitor
from torchfunc.errors import TorchfuncError

LOGS: Any = {"loss": 0.5, "accuracy": np.float32(0.25)}


@pytest.fixture
def server() -> Iterator[tuple[str, list[Any]]]:
    taken: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            taken.append((self.path, self.headers["Content-Type"], self.headers["Key"], body))
            self.send_response(500 if "fail" in self.path else 200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", taken
        running.shutdown()
        thread.join()


def test_an_epoch_is_posted_in_a_form(server: tuple[str, list[Any]]) -> None:
    root, taken = server
    RemoteMonitor(root).on_epoch_end(3, LOGS)

    ((path, kind, _, body),) = taken
    assert (path, kind) == ("/publish/epoch/end/", "application/x-www-form-urlencoded")
    assert json.loads(parse_qs(body)["data"][0]) == {"epoch": 3, "loss": 0.5, "accuracy": 0.25}


def test_an_epoch_is_posted_as_json(server: tuple[str, list[Any]]) -> None:
    root, taken = server
    RemoteMonitor(root, "/here", headers={"Key": "k"}, send_as_json=True).on_epoch_end(0, LOGS)

    assert taken[0][:3] == ("/here", "application/json", "k")
    assert json.loads(taken[0][3]) == {"epoch": 0, "loss": 0.5, "accuracy": 0.25}


def test_a_server_that_fails_is_told_and_the_training_goes_on(server: tuple[str, list[Any]]) -> None:
    with pytest.warns(UserWarning, match="RemoteMonitor could not reach http://127.0.0.1"):
        RemoteMonitor(server[0], "/fail").on_epoch_end(0, LOGS)


def test_what_is_no_address_of_the_web_is_refused() -> None:
    with pytest.raises(TorchfuncError, match=r"expected http:// or https://, got root='file:///etc'"):
        RemoteMonitor("file:///etc")
