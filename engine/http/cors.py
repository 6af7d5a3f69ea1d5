"""Cross-origin rules: an exact list of origins, none by default. Credentials are headers here, never cookies."""

from __future__ import annotations

from engine.http.call import Request
from engine.http.reply import Reply

EXPOSED = b"ETag, Location, X-Request-Id, RateLimit, RateLimit-Policy, Retry-After, Preference-Applied"
METHODS = b"GET, HEAD, POST, PATCH, PUT, DELETE, OPTIONS"
REQUEST_HEADERS = b"Authorization, Content-Type, If-Match, If-None-Match, Prefer, X-API-Key, X-Account-Id, X-Request-Id"
MAX_AGE_S = b"600"


class Cors:
    """Which origins a browser may call from.

    Args:
        origins: Exact origins (``https://app.example.org``).
    """

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = frozenset(origin.encode("ascii") for origin in origins)

    def headers(self, request: Request) -> list[tuple[bytes, bytes]]:
        """The headers of a reply to a cross-origin request; an origin that is not on the list gets none."""
        origin = request.headers.get(b"origin", b"")
        if origin not in self._origins:
            return []
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", EXPOSED),
            (b"vary", b"Origin"),
        ]

    @staticmethod
    def is_preflight(request: Request) -> bool:
        """Whether a browser asks if it may."""
        return b"origin" in request.headers and b"access-control-request-method" in request.headers

    def preflight(self, request: Request) -> Reply:
        """The answer to a preflight: 204, with permissions for a listed origin only."""
        if request.headers.get(b"origin", b"") not in self._origins:
            return Reply(204, content_type=None)
        return Reply(
            204,
            headers=(
                (b"access-control-allow-methods", METHODS),
                (b"access-control-allow-headers", REQUEST_HEADERS),
                (b"access-control-max-age", MAX_AGE_S),
            ),
            content_type=None,
        )
