"""TLS in front of a ClickHouse that speaks none, the one out of chdb.

    python -m tests.security.tls_front PORT PEM

speaks TLS with the certificate and key in PEM at a port that it prints, and carries what it hears to PORT.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scoreline_local.certificates import Certificate
from scoreline_local.ports import HOST

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def tls_front(port: int, certificate: Certificate, folder: Path) -> Iterator[int]:
    """The port of a front with this certificate before `port`; it ends with the block."""
    file = folder / "front.pem"
    file.write_bytes(certificate.key + certificate.certificate)
    command = [sys.executable, "-m", "tests.security.tls_front", str(port), str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _serve(port: int, file: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)

    async def front(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection(HOST, port)
        await asyncio.gather(_carry(reader, behind_writer), _carry(behind_reader, writer))

    server = await asyncio.start_server(front, HOST, 0, ssl=context)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2]))
