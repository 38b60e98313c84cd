"""HTTP for untrusted hosts: checked addresses, limits on bytes and time, bounded retries.

Redirects are followed by hand, because each one is a new address to check. Bodies are requested uncompressed, so that
the limit on bytes also limits memory. Errors name scheme, host and path of a URL, never its query, a header or a body.
"""

from __future__ import annotations

import io
import json
import random
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, Self, TypeAlias, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import httpx

from catalog.errors import RefusedAddress, RefusedUrl, RequestFailed, ResponseTooLarge
from catalog.network.rate_limit import ALLOWANCE, BUDGET, METER, Host, Meter
from catalog.network.redaction import Secrets
from catalog.network.ssrf import DEADLINE, GuardedTransport, cause_of, opens_plain
from catalog.sanitize import one_line
from catalog.syntax.json import most_json_values

if TYPE_CHECKING:
    from contextvars import ContextVar

    from catalog.config import NetworkSettings
    from catalog.network.rate_limit import Allowance, Budget
    from catalog.syntax.json import Json

    Body: TypeAlias = "bytes | Callable[[], Iterable[bytes]] | None"
    Headers: TypeAlias = "Mapping[str, str] | Callable[[], Mapping[str, str]] | None"
    """Headers, or a function that makes those of each try: a DPoP proof may be sent only once."""

MAX_BYTES: Final = 5_000_000
"""Bytes of an answer that isn't streamed, unless the caller says otherwise."""
MAX_VALUES: Final = 4_000_000
"""Values of an answer in JSON: as empty lists 320 MB of objects. A page of 100 large datasets has half of that."""
MAX_REDIRECTS: Final = 5
TRIES: Final = 4
REFUSED_TRIES: Final = 2
"""Retries of a 500 in the form of XRPC: several servers answer so for a missing record, and repeat it."""
CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 20.0
WHOLE_SECONDS: Final = 60.0
"""From the request to the last byte of an answer that isn't streamed; a retry starts again."""
STREAM_SECONDS: Final = 3600.0
PATIENCE: Final = 300.0
"""Maximum total wait of a request for pauses that a host requests."""
MAX_WAIT: Final = 30.0
"""The longest pause before a retry, whatever Retry-After says."""

T = TypeVar("T")

_RETRIED: Final = frozenset({429, 500, 502, 503, 504})
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_DEFAULT_PORTS: Final = {"https": ":443", "http": ":80"}
_OWN_HEADERS: Final = ("authorization", "dpop")
"""Headers that no redirect to another origin gets."""
_MAX_ERROR: Final = 65_536
_NONCE_WANTED: Final = "use_dpop_nonce"
_MAX_NONCE: Final = 1000
_PIECE: Final = 65_536
"""Bytes of a file that are in memory while it is sent."""
_UPLOAD_RATE: Final = 20_000
"""Bytes a second that an upload may fall to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer, read whole. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """An answer that is read piece by piece, once: iterate it, or ``chunks``."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]

    def __iter__(self) -> Iterator[bytes]:
        """The pieces, as they arrive."""
        return self.chunks


def user_agent(settings: NetworkSettings) -> str:
    """Return the User-Agent header: the package's version, and the operator's contact if it is set."""
    from importlib.metadata import version

    return f"atdata-catalog/{version('atdata-catalog')}" + (f" (+{settings.contact})" if settings.contact else "")


class _TryError(Exception):
    """A failed try that may be repeated. ``sent`` is true if the server may have acted on it."""

    def __init__(
        self, error: RequestFailed, *, sent: bool, wait: float | None = None, tries: int | None = None
    ) -> None:
        super().__init__(str(error))
        self.error, self.sent, self.wait = error, sent, wait
        self.tries = TRIES if tries is None else tries


class _BusyError(Exception):
    """A 429: the host was paused, and can't have acted on the request."""

    def __init__(self, error: RequestFailed) -> None:
        super().__init__(str(error))
        self.error = error


class Client:
    """A guarded HTTP client; a context manager, for many threads. ``requests`` and ``bytes`` count what it did.

    ``patience`` is the total time in seconds that a request waits for pauses of a host; ``waiting`` is called with a
    host and the seconds before a long wait; ``parks`` skips hosts that fail repeatedly
    (:mod:`catalog.network.rate_limit`). No error repeats one of its ``secrets``, whatever a server answers.

    Every method may raise :class:`RequestFailed` (an error answer, or none), :class:`RefusedAddress`,
    :class:`RefusedUrl` and :class:`ResponseTooLarge`.
    """

    def __init__(
        self,
        settings: NetworkSettings,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
        parks: bool = False,
        waiting: Callable[[str, float], object] | None = None,
    ) -> None:
        self._settings = settings
        self._sleep = sleep
        self._clock = clock
        self._patience = patience
        self._parks = parks
        self._waiting = waiting
        self._lock = Lock()
        self._hosts: dict[str, Host] = {}
        self._http = httpx.Client(
            transport=GuardedTransport(allow_loopback=settings.allow_loopback, allowed=settings.allow_addresses),
            headers={"User-Agent": user_agent(settings), "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # no tracking, no memory filled by cookies
            follow_redirects=False,
            trust_env=False,
        )
        self.requests = 0
        self.bytes = 0
        self.secrets = Secrets()
        self.nonces: dict[str, str] = {}
        """Origin → its newest DPoP nonce; only of requests with a proof."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def host(self, url: str, method: str = "GET") -> Host:
        """Return the state of a URL's host. Writing methods of a PDS have limits of their own, so each has a state."""
        parts = urlsplit(url)
        name = parts.netloc.rpartition("@")[2].lower().removesuffix(_DEFAULT_PORTS.get(parts.scheme, ":"))
        key = name if method == "GET" else name + parts.path
        with self._lock:
            found = self._hosts.get(key)
            if found is None:
                found = Host(name, sleep=self._sleep, clock=self._clock, parks=self._parks, waiting=self._waiting)
                self._hosts[key] = found
            return found

    def parked(self, host: str) -> float:
        """Seconds that requests to a host (``name:port``) fail at once, after failures in a row."""
        with self._lock:
            found = self._hosts.get(host.lower().removesuffix(":443"))
        return 0.0 if found is None else found.parked

    def within(self, budget: Budget) -> AbstractContextManager[None]:
        """Limit this thread's requests, pauses included, to a budget; then they fail (``TimeUp``). Of nested budgets
        the one that ends first counts.
        """
        outer = BUDGET.get()
        return _set(BUDGET, budget if outer is None or budget.ends < outer.ends else outer)

    def allowed(self, allowance: Allowance) -> AbstractContextManager[None]:
        """Let the answers to this thread have no more bytes than an allowance; then requests fail (``BytesUp``)."""
        return _set(ALLOWANCE, allowance)

    def metered(self, meter: Meter) -> AbstractContextManager[None]:
        """Count this thread's requests in ``meter``, too."""
        return _set(METER, meter)

    def get(
        self,
        url: str,
        *,
        max_bytes: int = MAX_BYTES,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = WHOLE_SECONDS,
        max_values: int | None = None,
    ) -> Response:
        """The answer of a GET with a status below 400; ``max_values`` are those of one in JSON."""
        self.check(url)
        full = str(httpx.URL(url, params=dict(params))) if params else url
        return self._retried(
            lambda patience: self._whole(
                "GET", full, headers, max_bytes=max_bytes, max_values=max_values, seconds=seconds, patience=patience
            ),
            again=True,
        )

    def get_json(
        self,
        url: str,
        *,
        max_bytes: int = MAX_BYTES,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """The JSON that a GET answers."""
        asked = {"Accept": "application/json", **(headers or {})}
        answer = self.get(url, max_bytes=max_bytes, max_values=MAX_VALUES, params=params, headers=asked)
        return _json(answer.body, url)

    def post_json(
        self,
        url: str,
        body: Json,
        *,
        headers: Headers = None,
        max_bytes: int = MAX_BYTES,
        patient: bool = True,
    ) -> Json:
        """Return the JSON answer of a POST; None for an empty one.

        It is retried only if the server can't have acted on it: no connection, or a 429, if ``patient``.
        """
        raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() if body is not None else b""
        kind = {"Content-Type": "application/json"} if raw else {}
        return self._post(url, raw, kind, headers, max_bytes=max_bytes, patient=patient)

    def post_form(self, url: str, fields: Mapping[str, str], *, headers: Headers = None) -> Json:
        """Return the JSON answer of a POST of a form, retried as :meth:`post_json`; None for an empty one."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._post(url, urlencode(fields).encode(), kind, headers, max_bytes=_MAX_ERROR, patient=False)

    def _post(
        self, url: str, raw: bytes, kind: Mapping[str, str], headers: Headers, *, max_bytes: int, patient: bool
    ) -> Json:
        def ask(patience: float) -> Response:
            sent = {"Accept": "application/json", **kind, **_made(headers)}
            return self._whole("POST", url, sent, raw, max_bytes=max_bytes, seconds=WHOLE_SECONDS, patience=patience)

        answer = self._retried(ask, again=False, patience=self._patience if patient else 0.0)
        return _json(answer.body, url) if answer.body else None

    def post_file(self, url: str, path: Path, *, size: int, mime_type: str, headers: Headers = None) -> Json:
        """Return the JSON answer of a POST of a file's first ``size`` bytes, read piece by piece.

        It is retried even if the server may have acted on it: the same bytes make the same blob. Raises ``OSError``.
        """
        kind = {"Accept": "application/json", "Content-Type": mime_type, "Content-Length": str(size)}
        seconds = WHOLE_SECONDS + size / _UPLOAD_RATE

        def ask(patience: float) -> Response:
            sent, pieces = {**kind, **_made(headers)}, partial(_pieces, path, size)
            return self._whole("POST", url, sent, pieces, max_bytes=MAX_BYTES, seconds=seconds, patience=patience)

        return _json(self._retried(ask, again=True).body, url)

    @contextmanager
    def stream(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
        seconds: float = STREAM_SECONDS,
        answers: Container[int] = (),
        verified: bool = False,
    ) -> Iterator[Stream]:
        """An open answer, for shards: ``with client.stream(url) as answer: for chunk in answer.chunks: …``.

        Opening is retried; reading is not, as only the caller knows where to resume (with a Range header). Statuses in
        ``answers`` are left to the caller: they are neither errors nor redirects. ``verified``: the caller compares
        the bytes with a checksum, so plain http is opened, too.
        """

        def open_(patience: float) -> httpx.Response:  # a day may be allowed for the body, a minute for the headers
            due = min(seconds, WHOLE_SECONDS)
            return self._open(
                "GET", url, headers, None, seconds=due, patience=patience, answers=answers, verified=verified
            )[0]

        opened = self._retried(open_, again=True)
        deadline = time.monotonic() + seconds
        try:
            yield Stream(
                status=opened.status_code,
                headers=_headers(opened),
                chunks=_once(self._chunks(opened, max_bytes, deadline)),
            )
        finally:
            opened.close()

    def _retried(self, attempt: Callable[[float], T], *, again: bool, patience: float | None = None) -> T:
        """Retry a few times, with full jitter; ``again`` also allows it if the server may have acted on a try.

        A 429 doesn't count as a try: the host says when to retry, and ``patience`` ends it.
        """
        budget = BUDGET.get()
        due = self._clock() + (self._patience if patience is None else patience)
        due = due if budget is None else min(due, budget.ends)
        number = 0
        while True:
            if budget is not None and budget.over:
                raise budget.error()
            try:
                return attempt(due)
            except _BusyError as busy:
                error, final, pause = busy.error, self._clock() >= due, 0.0
            except _TryError as failed:
                number += 1
                error, final = failed.error, number >= failed.tries or (failed.sent and not again)
                jitter = random.uniform(0, min(MAX_WAIT, 0.25 * 2**number))  # noqa: S311 — spreads load, hides nothing
                pause = jitter if failed.wait is None else min(MAX_WAIT, failed.wait + jitter)
            if final:  # raised here, it has no context: httpx's errors hold the request, and that holds secrets
                raise error if budget is None or not budget.over else budget.error()
            if pause > 0:
                self._sleep(pause if budget is None else max(0.0, min(pause, budget.ends - self._clock())))

    def _whole(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: Body = None,
        *,
        max_bytes: int,
        seconds: float,
        patience: float,
        max_values: int | None = None,
    ) -> Response:
        opened, deadline = self._open(method, url, headers, body, seconds=seconds, patience=patience)
        whole, values = io.BytesIO(), -1  # not a list of pieces: joining them takes the memory twice
        try:
            for chunk in self._chunks(opened, max_bytes, deadline):
                whole.write(chunk)
                if max_values is not None and whole.tell() > max_values:  # each value has a byte at least
                    values = most_json_values(whole.getvalue()) if values < 0 else values + most_json_values(chunk)
                    _check_values(values, max_values, url)
        finally:
            opened.close()
        return Response(status=opened.status_code, headers=_headers(opened), body=whole.getvalue())

    def _open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: Body,
        *,
        seconds: float,
        patience: float,
        answers: Container[int] = (),
        verified: bool = False,
    ) -> tuple[httpx.Response, float]:
        """Return an unread answer with a good status or one of ``answers``, and its deadline. Redirects of a GET are
        followed.
        """
        sent = dict(headers or {})
        for _ in range(MAX_REDIRECTS + 1):
            self.check(url, verified=verified)
            opened, deadline = self._send(method, url, sent, body, seconds, patience)
            if opened.status_code in answers:
                return opened, deadline
            if opened.status_code not in _MOVED:
                if opened.status_code < 400:
                    return opened, deadline
                raise self._refused(opened, url, deadline)
            opened.close()
            try:
                target = urljoin(url, opened.headers.get("location", ""))
            except ValueError:
                raise RefusedUrl("redirects to what is not a URL", where=_place(url)) from None
            if method != "GET":
                raise RequestFailed("redirects a request that writes", status=opened.status_code, where=_place(url))
            if self.secrets.repeated_in(target):
                raise RefusedUrl("redirects to an address that repeats a password or token", where=_place(url))
            if origin(target) != origin(url):
                sent = {name: value for name, value in sent.items() if name.lower() not in _OWN_HEADERS}
            url = target
        raise RequestFailed(f"more than {MAX_REDIRECTS} redirects", where=_place(url))

    def check(self, url: str, *, verified: bool = False) -> None:
        """Refuse a URL by its text; the transport checks the addresses of its host."""
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018 — raises for an invalid port
            httpx.URL(url).host  # noqa: B018 — raises for a name that IDNA doesn't know
        except (ValueError, httpx.InvalidURL):
            raise RefusedUrl("not a URL", where=_place(url)) from None
        if not parts.hostname or parts.scheme not in ("http", "https"):
            raise RefusedUrl("only https is opened", where=_place(url))
        if parts.username is not None or parts.password is not None:
            raise RefusedUrl("a URL with a user name in it is never opened", where=_place(url))
        loopback, allowed = self._settings.allow_loopback, self._settings.allow_addresses
        if verified or parts.scheme == "https":
            return
        if not opens_plain(parts.hostname, allow_loopback=loopback, allowed=allowed):
            hint = "use https; shards may be at http addresses if their SHA-256 is known"
            raise RefusedAddress("plain http is not opened", where=_place(url), hint=hint)

    def _send(  # noqa: PLR0917 — as _open has them
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body,
        seconds: float,
        patience: float,
    ) -> tuple[httpx.Response, float]:
        content = body() if callable(body) else body
        try:
            request = self._http.build_request(method, url, headers=dict(headers), content=content)
        except (ValueError, httpx.InvalidURL):
            raise RefusedUrl("not a URL that can be asked for", where=_place(url)) from None
        host = self.host(url, method)
        with host.turn(patience):
            begun = time.monotonic()
            budget = BUDGET.get()
            deadline = begun + seconds if budget is None else min(begun + seconds, budget.ends)
            self._count(host, requests=1, received=len(body) if isinstance(body, bytes) else 0)
            try:
                with _set(DEADLINE, deadline):
                    opened = self._http.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                answer = _no_answer("can't be reached", error, url)
                host.failed(answer.what)
                raise _TryError(answer, sent=False) from None
            except (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict) as error:
                answer = _no_answer("didn't answer", error, url)
                host.failed(answer.what)
                raise _TryError(answer, sent=True) from None
            except ValueError:  # a name that TLS or DNS takes for none
                raise RefusedUrl("its host is none that can be asked", where=_place(url)) from None
            finally:
                self._count(host, seconds=time.monotonic() - begun)
            if "dpop" in request.headers and (nonce := opened.headers.get("dpop-nonce", "")[:_MAX_NONCE]):
                self.nonces[origin(url)] = nonce
            if opened.status_code == 429:
                host.busy(_retry_after(opened.headers), opened.headers)
            elif opened.status_code in _RETRIED and not _is_xrpc(opened):
                host.failed(f"HTTP {opened.status_code}", alive=opened.status_code == 500)
            else:
                host.answered(time.monotonic() - begun, opened.headers)
        return opened, deadline

    def _count(self, host: Host, *, requests: int = 0, received: int = 0, seconds: float = 0.0) -> None:
        with self._lock:
            self.requests += requests
            self.bytes += received
        meter = METER.get()
        if meter is not None:
            meter.count(host.name, requests=requests, received=received, seconds=seconds)

    def _chunks(self, opened: httpx.Response, max_bytes: int | None, deadline: float) -> Iterator[bytes]:
        url = str(opened.url)
        host = self.host(url, opened.request.method)
        judged = opened.status_code in _RETRIED  # by its headers: such a body neither clears a host nor adds to it
        taken, begun, whole = 0, time.monotonic(), True
        stated = opened.headers.get("content-length", "")
        allowance = ALLOWANCE.get()
        size = int(stated[:20]) if stated.isascii() and stated.isdigit() else 0
        if max_bytes is not None and size > max_bytes:
            raise ResponseTooLarge(f"{size:,} bytes; the most is {max_bytes:,}", where=_place(url))
        if allowance is not None and size > allowance.left:
            raise allowance.error()
        pieces = opened.iter_raw()  # with a size it would wait for that much, and no deadline would be seen
        try:
            while (chunk := _next(pieces, deadline)) is not None:
                taken += len(chunk)
                if max_bytes is not None and taken > max_bytes:
                    raise ResponseTooLarge(f"more than {max_bytes:,} bytes", where=_place(url))
                if allowance is not None:
                    allowance.take(len(chunk))
                yield chunk
        except (httpx.HTTPError, httpx.StreamError) as error:
            whole = False
            raise _TryError(_no_answer("broke off", error, url), sent=True) from None
        finally:
            took = time.monotonic() - begun
            self._count(host, received=taken, seconds=took)
            if not judged and whole:
                host.received(taken, took)
            elif not judged:
                host.failed("an answer broke off")

    def _refused(self, opened: httpx.Response, url: str, deadline: float) -> Exception:
        """The error for a status of 400 and more, with the name and message of XRPC when there are any."""
        name = message = ""
        try:
            found = _json(b"".join(self._chunks(opened, _MAX_ERROR, deadline)), url)
        except (RequestFailed, ResponseTooLarge, _TryError):
            found = None
        finally:
            opened.close()
        if isinstance(found, dict):
            self.secrets.add(opened.request.headers.get("authorization", "").rpartition(" ")[2])
            texts = (found.get("error"), found.get("message") or found.get("error_description"))
            said = (text if isinstance(text, str) else "" for text in texts)
            name, message = map(message_line, self.secrets.cleaned(*said))
        if not name and _NONCE_WANTED in opened.headers.get("www-authenticate", ""):  # some proxies drop the body
            name = _NONCE_WANTED
        status = opened.status_code
        what = f"HTTP {status}" + (f" {name}" if name else "") + (f": {message}" if message else "")
        error = RequestFailed(what, status=status, name=name, message=message, where=_place(url))
        if status == 429:
            return _BusyError(error)
        if status in _RETRIED:
            tries = REFUSED_TRIES if status == 500 and _is_xrpc(opened) else None
            return _TryError(error, sent=True, wait=_retry_after(opened.headers), tries=tries)
        return error


def _is_xrpc(opened: httpx.Response) -> bool:
    """Return whether an error is a JSON answer of a working server: a fault of the request, not of the host."""
    return "json" in opened.headers.get("content-type", "").lower()


def _pieces(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while size > 0 and (piece := file.read(min(size, _PIECE))):
            size -= len(piece)
            yield piece


def _next(pieces: Iterator[bytes], deadline: float) -> bytes | None:
    """Return the next piece, None at the end. Raises after the deadline: a slow drip of chunk sizes makes no piece."""
    with _set(DEADLINE, min(deadline, time.monotonic() + READ_SECONDS)):
        return next(pieces, None)


@contextmanager
def _set(variable: ContextVar[T], value: T) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def _once(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces that can't be retried: an interruption is final."""
    try:
        yield from chunks
    except _TryError as failed:
        raise failed.error from None


def _headers(opened: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in opened.headers.items()}


def _no_answer(what: str, error: Exception, url: str) -> RequestFailed:
    return RequestFailed(f"{what} ({cause_of(error)})", where=_place(url))


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds to wait, as seconds or as a date; None when the server doesn't say (or not so that it can be read)."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    then = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())


def _json(raw: bytes, url: str) -> Json:
    """The value of an answer. What it comes to in memory is limited before it is parsed."""
    if len(raw) > MAX_VALUES:
        _check_values(most_json_values(raw), MAX_VALUES, url)
    try:
        found: Json = json.loads(raw, parse_constant=_not_json)
    except (ValueError, RecursionError):
        raise RequestFailed("the answer is not JSON", where=_place(url)) from None
    return found


def _check_values(number: int, most: int, url: str) -> None:
    if number > most:
        raise ResponseTooLarge(f"more than {most:,} values in one answer", where=_place(url))


def _not_json(name: str) -> float:
    raise ValueError(name)


def _made(headers: Headers) -> Mapping[str, str]:
    return headers() if callable(headers) else headers or {}


def origin(url: str) -> str:
    """Return scheme and host of a URL, in lower case: ``https://pds.example.org``."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _place(url: str) -> str:
    """A URL fit for an error: without user name, query and fragment, on one line."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL"
    return one_line(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", 200)


def message_line(value: object) -> str:
    """Return what a server says as one line of at most 200 characters; empty when it is no text."""
    return one_line(value, 200) if isinstance(value, str) else ""
