"""A WebSocket client that reconnects whenever the connection ends.

Connections go through the SSRF guard. Redirects aren't followed and compression isn't accepted, so that the limit on
bytes also limits memory.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

from catalog.errors import RequestFailed
from catalog.network.http import message_line, user_agent
from catalog.network.ssrf import open_socket

if TYPE_CHECKING:
    from threading import Event as Stop

    from websockets.sync.client import ClientConnection

    from catalog.config import NetworkSettings

MAX_MESSAGE: Final = 16_000_000
"""Bytes after which a connection is closed. A frame may have 5 MB; the reader skips larger ones up to this limit, as
after a reconnect the frame would come again.
"""
OPEN_SECONDS: Final = 20.0
LONGEST_WAIT: Final = 60.0
STEADY_SECONDS: Final = 30.0
"""A connection that lasted so long was good: the next pause is short again."""
TRIES: Final = 4
"""Connections in a row that may bring nothing in catch-up mode (``idle``)."""
_DOUBLINGS: Final = 10
_POLL_SECONDS: Final = 0.5


def messages(
    url: str,
    path: str,
    settings: NetworkSettings,
    *,
    parameters: Callable[[], Sequence[tuple[str, str]]],
    stop: Stop,
    opened: Callable[[], None],
    idle: float | None = None,
    troubled: Callable[[RequestFailed], None] = lambda _: None,
    silent: Callable[[], None] = lambda: None,
) -> Iterator[bytes | str]:
    """Yield the messages of a server on ``path`` until ``stop``; reconnect whenever the connection ends.

    ``parameters`` is called for each connection, as the cursor is one of them; ``opened`` is called once it is
    established, ``troubled`` with the reason if it fails or ends, ``silent`` now and then while nothing arrives. With
    ``idle`` the iteration ends after so many seconds of silence, and :class:`RequestFailed` is raised if a few
    connections in a row bring nothing. Raises :class:`RefusedAddress`.
    """
    barren = short = 0
    while not stop.is_set():
        begun = heard = time.monotonic()
        try:
            with _connected(f"{url}{path}?{urlencode(parameters())}", settings) as connection:
                opened()
                heard = time.monotonic()
                while not stop.is_set():
                    message = _next(connection)
                    if message is not None:
                        barren = 0
                        yield message
                        heard = time.monotonic()
                        continue
                    silent()
                    if idle is not None and time.monotonic() - heard > idle:
                        return
        except RequestFailed as error:
            troubled(error)
            barren += 1
            if idle is not None and barren >= TRIES:
                raise
        # A server that sends something and closes at once, again and again, also gets growing pauses.
        silent()
        short = 0 if time.monotonic() - begun > STEADY_SECONDS else min(short + 1, _DOUBLINGS)
        stop.wait(random.uniform(0, min(LONGEST_WAIT, 2.0**short)))  # noqa: S311 — spreads load, hides nothing


def _next(connection: ClientConnection) -> bytes | str | None:
    """The next message; None when there was none for a moment."""
    try:
        return connection.recv(timeout=_POLL_SECONDS)
    except TimeoutError:
        return None


@contextmanager
def _connected(url: str, settings: NetworkSettings) -> Iterator[ClientConnection]:
    """A websocket at an address that was checked. Raises :class:`RequestFailed` for whatever goes wrong with it."""
    place = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
    connection = open_socket(
        url, allow_loopback=settings.allow_loopback, seconds=OPEN_SECONDS, allowed=settings.allow_addresses
    )
    try:
        connection.settimeout(
            None
        )  # the timeout was for connecting; a stream may be silent for long, and pings show if it is alive
        opened = connect(
            "ws" + url.removeprefix("wss").removeprefix("ws"),  # TLS is done
            sock=connection,
            compression=None,
            open_timeout=OPEN_SECONDS,
            close_timeout=2,
            max_size=MAX_MESSAGE,
            user_agent_header=user_agent(settings),
            proxy=None,
        )
    except (WebSocketException, OSError, EOFError, ValueError) as error:  # a ValueError is a redirect
        connection.close()
        raise RequestFailed(f"opens no stream: {message_line(str(error))}", where=place) from None
    except BaseException:
        connection.close()
        raise
    try:
        with opened:
            yield opened
    except ConnectionClosed as error:
        raise RequestFailed(f"closed the stream: {message_line(str(error))}", where=place) from None
