"""A websocket that is listened to for as long as one likes: connected anew whenever it ends.

On connections that the guard has checked. Redirects aren't followed, compression isn't taken: so that the cap on bytes
is one on memory too.
"""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

from catalog.errors import RequestFailed
from catalog.network.http import message_line, user_agent
from catalog.network.ssrf import open_socket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from threading import Event as Stop

    from websockets.sync.client import ClientConnection

    from catalog.config import NetworkSettings

__all__ = ["messages"]

MAX_MESSAGE: Final = 16_000_000
"""Bytes after which a connection is closed. A frame may have 5 MB; one between is passed over by whoever reads it, as a
closed connection would bring it again.
"""
OPEN_SECONDS: Final = 20.0
LONGEST_WAIT: Final = 60.0
STEADY_SECONDS: Final = 30.0
"""A connection that lasted so long was a good one: the next pause is short again."""
TRIES: Final = 4
"""Connections in a row that may bring nothing, when only what was missed is wanted."""
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
    """What a server sends on ``path``, until ``stop``; connected anew whenever the connection ends.

    ``parameters`` are asked for at each connection: the cursor is one of them; ``opened`` is called when it stands,
    ``troubled`` with the reason whenever there is none or it ended, ``silent`` now and then while nothing comes. With
    ``idle`` all is over after so many seconds of silence, and :class:`RequestFailed` is raised when a few connections
    in a row bring nothing. Raises :class:`RefusedAddress`.
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
        # Also one that brings something and is closed at once, again and again, is to be left alone for longer.
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
        )  # it was for connecting; a stream may be silent for long, its pings tell if it lives
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
