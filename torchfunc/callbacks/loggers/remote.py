"""RemoteMonitor: the figures of each epoch, posted to a server of the user's."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
import warnings
from collections.abc import Mapping
from typing import ClassVar

from torchfunc.callbacks.callback import Callback, Logs
from torchfunc.errors import TorchfuncError, explain

SECONDS = 10.0  # a server that does not answer holds no training up for longer


class RemoteMonitor(Callback):
    """Posts `{"epoch": 0, "loss": ...}` to `root + path` at the end of each epoch; where nobody answers, that is told.

    Args:
        root: where the server is, over http or https.
        path: what is added to it.
        field: the field of the form that holds the JSON.
        headers: those of the request, besides its content type.
        send_as_json: whether the JSON itself is sent, and no form.

    Raises:
        TorchfuncError: a root that is no address of the web.

    Example:
        >>> monitor = callbacks.RemoteMonitor("http://localhost:9000", headers={"Authorization": "Bearer ..."})
        >>> history = model.fit(x, y, callbacks=[monitor])  # doctest: +SKIP
    """

    writes_once: ClassVar[bool] = True

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        if urllib.parse.urlparse(root).scheme not in ("http", "https"):
            fix = "root='http://localhost:9000'"
            raise TorchfuncError(
                explain("RemoteMonitor", got=f"root={root!r}", expected="http:// or https://", fix=fix)
            )
        self.root, self.path, self.field = root, path, field
        self.headers, self.send_as_json = headers, send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        figures = {
            name: value.item() if hasattr(value, "item") else value for name, value in (logs or {}).items()
        }
        text = json.dumps({"epoch": epoch, **figures})
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        body = text if self.send_as_json else urllib.parse.urlencode({self.field: text})
        request = urllib.request.Request(
            self.root + self.path, body.encode(), {"Content-Type": kind, **(self.headers or {})}
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS):
                pass
        except OSError as error:
            warnings.warn(f"RemoteMonitor could not reach {self.root}: {error}.", stacklevel=2)
