"""Where a log's files are: in a folder, or on a web server (C2SP ``tlog-tiles``).

Invariants:

* Nothing is verified here; what is read is only bounded: in bytes and, over HTTP, in time.
* A web server that cuts a file short, does not speak HTTP, or redirects to another scheme causes an ``OSError``; no
  partial file is returned.
"""

import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Final, Protocol

from zegel.evidence.tiles import MAX_ENTRY_BYTES, TILE_WIDTH
from zegel.evidence.transparency import InvalidTile

MAX_FILE_BYTES: Final = TILE_WIDTH * (MAX_ENTRY_BYTES + 2)
"""The longest file of a log: a bundle of the longest entries."""
TIMEOUT_S: Final = 30.0
"""How long a web server may be silent, in seconds."""
WHOLE_S: Final = 120.0
"""How long it may take to send one file, in seconds, even if it is never silent."""

_CHUNK = 65_536


class Source(Protocol):
    """Where a log's files are."""

    def get(self, path: str) -> bytes | None:
        """Return a file, or ``None`` if there is none.

        Args:
            path: Its path under the log's prefix.
        """


class FolderSource:
    """A log in a folder.

    Args:
        folder: The folder that holds ``checkpoint``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, path: str) -> bytes | None:
        """See ``Source.get``."""
        try:
            with (self._folder / path).open("rb") as file:
                return _bounded(file.read(MAX_FILE_BYTES + 1))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only if it keeps the scheme or leads to HTTPS."""

    def redirect_request(  # noqa: PLR0917 - the library's own
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """See ``HTTPRedirectHandler``."""
        if urllib.parse.urlsplit(newurl).scheme not in {req.type, "https"}:
            raise urllib.error.URLError("the log's web server redirects to another scheme")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class WebSource:
    """A log behind a web server.

    Args:
        prefix: The URL of the folder that holds ``checkpoint``.
        timeout_s: How long the server may be silent, in seconds.
        whole_s: How long it may take for one file, in seconds.

    Raises:
        ValueError: The URL's scheme is neither ``http`` nor ``https``.
    """

    def __init__(self, prefix: str, timeout_s: float = TIMEOUT_S, whole_s: float = WHOLE_S) -> None:
        if urllib.parse.urlsplit(prefix).scheme not in {"http", "https"}:
            raise ValueError("a log's URL begins with http:// or https://")
        self._prefix = prefix.rstrip("/") + "/"
        self._timeout_s = timeout_s
        self._whole_s = whole_s
        self._opener = urllib.request.build_opener(_SameScheme)

    def get(self, path: str) -> bytes | None:
        """See ``Source.get``; raises ``OSError`` if the server does not answer, or not completely."""
        url = self._prefix + path
        until = time.monotonic() + self._whole_s
        try:
            with self._opener.open(url, timeout=self._timeout_s) as answer:
                return _read(answer, until)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in {404, 410}:
                return None
            raise OSError(f"{url}: the web server answers {error.code}") from None
        except urllib.error.URLError as error:
            raise OSError(f"{url}: {error.reason}") from error
        except OSError as error:
            raise OSError(f"{url}: {error}") from error
        except http.client.HTTPException as error:
            raise OSError(f"{url}: the web server's answer is not whole, or not HTTP") from error


def _read(answer: http.client.HTTPResponse, until: float) -> bytes:
    pieces: list[bytes] = []
    size = 0
    length = answer.length
    # Piece by piece: a single read would go on for as long as anything arrives.
    while piece := answer.read1(_CHUNK):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_FILE_BYTES:
            break
        if time.monotonic() > until:
            raise OSError("the web server takes too long")
    if length is not None and size < length:
        raise OSError("the web server's answer is cut short")
    return _bounded(b"".join(pieces))


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_FILE_BYTES:
        raise InvalidTile("a file of the log is too long")
    return data


def source_of(location: str) -> Source:
    """Return the source that a folder's path or a URL names."""
    return WebSource(location) if location.startswith(("http://", "https://")) else FolderSource(Path(location))
