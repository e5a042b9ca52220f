"""A project of one test at a running gateway, and what stands between that and an SDK."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scoreline.keys import NewKey, Scope
from scoreline.settings import Settings
from tests import running_gateway as running
from tests.support import eventually


@dataclass(frozen=True)
class Gateway:
    """A running gateway, and a project that nobody else has."""

    process: running.Gateway
    project: str

    @property
    def url(self) -> str:
        return self.process.url

    def key(self, *scopes: Scope, rate: float | None = None) -> NewKey:
        """A new key of the project, which the gateway knows already; by default for scores and configs."""
        wanted = scopes or (Scope.WRITE, Scope.CONFIGS)
        made = running.make_key(self.process.settings, *wanted, project=self.project, rate=rate)
        eventually(lambda: self._knows(made), "the gateway knows the key")
        return made

    def _knows(self, made: NewKey) -> bool:
        status, _ = self.post("/v1/scores", b"{}", {"X-API-Key": made.secret_key})
        return status != 401

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """A request without an SDK; status and body of the answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=30)) as connection:
            connection.request("POST", path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read()

    def raw(self) -> list[dict[str, Any]]:
        """The raw records of the project."""
        return [record for record in self.process.records() if record["project"] == self.project]


@contextmanager
def gateway_of(settings: Settings, folder: Path) -> Iterator[running.Gateway]:
    """A gateway that is quick to say that the broker is away; what it has logged shows no bug."""
    with running.running_gateway(settings, folder, gateway_ack_s=2.0) as gateway:
        yield gateway
        assert gateway.process.stop() == 0, gateway.process.log
        assert "Traceback" not in gateway.process.log, gateway.process.log


@dataclass
class Spoiler:
    """Stands between an SDK and the gateway; what it does to the next requests that carry scores stands in `faults`."""

    url: str
    faults: list[str] = field(default_factory=list)
    """`refuse`: answered 503 and not passed on. `limit`: so with 429. `lose`: passed on, and answered 503 all the same.
    `drop`: passed on, and the connection ends without an answer."""
    passed: int = 0
    """Requests with scores that the gateway has answered."""


def varint(number: int) -> bytes:
    """As Protobuf writes a number."""
    digits = []
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])
