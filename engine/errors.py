"""Every problem a caller can be answered with: one class per code, drawn below as a tree.

Problem
├── BadRequest                 400  bad-request
│   ├── BadJson                400  bad-json
│   └── CursorMismatch         400  cursor-mismatch
├── Unauthenticated            401  unauthenticated
├── Forbidden                  403  forbidden
├── NotFound                   404  not-found
├── MethodNotAllowed           405  method-not-allowed
├── RequestTimeout             408  bad-request
├── Gone                       410  not-found
├── Conflict                   409  conflict
│   ├── Duplicate              409  duplicate
│   ├── ForeignKeyInUse        409  foreign-key
│   └── IdempotencyConflict    409  idempotency-conflict
├── StaleVersion               412  stale-version
├── PayloadTooLarge            413  payload-too-large
├── UnsupportedMediaType       415  unsupported-media-type
├── RangeNotSatisfiable        416  bad-request
├── ValidationFailed           422  validation-error
│   ├── UnknownField           422  unknown-field
│   ├── ForeignKeyUnknown      422  foreign-key
│   └── QueryTooComplex        422  query-too-complex
├── PreconditionRequired       428  precondition-required
├── RateLimited                429  rate-limited
├── Internal                   500  internal
└── Unavailable                503  unavailable

`CODES` is the table that the problem pages, OpenAPI and the tests read. How a
problem becomes bytes is `render/problem.py`'s business. What goes wrong at a
start or in a registry file is a finding, not a problem; see `registry/findings.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class ErrorItem:
    """One thing that is wrong with a request, and where.

    Attributes:
        code: An item code: ``required unknown-field type-mismatch too-long too-short out-of-range pattern
            not-in-enum read-only duplicate foreign-key parent-mismatch too-complex bad-operand``.
        detail: A sentence that names the thing, the value and the way out.
        pointer: JSON Pointer into the body (``""`` is the body itself), or None when the fault is not in a body.
        parameter: Name of the query parameter at fault.
        header: Name of the header at fault.
        suggestions: What the caller may have meant.
    """

    code: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None
    suggestions: tuple[str, ...] = ()


class Problem(Exception):
    """A refusal that reaches the caller as ``application/problem+json``.

    Args:
        detail: A sentence that names the thing, the value and the way out. Never SQL, a table, a path or a row id.
        errors: The single faults, where there are several or their place is known.
        headers: Reply headers that belong to the refusal (``Allow``, ``Retry-After``, ``WWW-Authenticate``).
        code: Overrides the class's code (the status stays the class's).
    """

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal"

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[ErrorItem] = (),
        headers: Sequence[tuple[str, str]] = (),
        code: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = tuple(headers)
        self.code = code or self.default_code


class BadRequest(Problem):
    """The request cannot be parsed."""

    status, default_code = 400, "bad-request"


class BadJson(BadRequest):
    """The body is not strict JSON: syntax, duplicate keys, too deep."""

    default_code = "bad-json"


class CursorMismatch(BadRequest):
    """A cursor that we did not issue for this very search."""

    default_code = "cursor-mismatch"


class Unauthenticated(Problem):
    """No credentials, or ones that do not hold. The detail never says which."""

    status, default_code = 401, "unauthenticated"


class Forbidden(Problem):
    """A known caller without the right."""

    status, default_code = 403, "forbidden"


class NotFound(Problem):
    """No such thing, another account's, or another parent's: alike on purpose."""

    status, default_code = 404, "not-found"


class MethodNotAllowed(Problem):
    """A known path with a wrong verb; carries ``Allow``."""

    status, default_code = 405, "method-not-allowed"


class RequestTimeout(Problem):
    """The request's body did not arrive in time."""

    status, default_code = 408, "bad-request"


class Gone(Problem):
    """What was here and is switched off, for good or for the moment; the detail says what is called instead."""

    status, default_code = 410, "not-found"


class Conflict(Problem):
    """The write lost against another one."""

    status, default_code = 409, "conflict"


class Duplicate(Conflict):
    """A value that must be unique is taken."""

    default_code = "duplicate"


class ForeignKeyInUse(Conflict):
    """A delete that a child forbids."""

    default_code = "foreign-key"


class IdempotencyConflict(Conflict):
    """A request with the same idempotency key is still running."""

    default_code = "idempotency-conflict"


class StaleVersion(Problem):
    """``If-Match`` names a version that is not the present one."""

    status, default_code = 412, "stale-version"


class PayloadTooLarge(Problem):
    """The body is larger than this call takes."""

    status, default_code = 413, "payload-too-large"


class UnsupportedMediaType(Problem):
    """The body's type or coding is not one this call takes."""

    status, default_code = 415, "unsupported-media-type"


class RangeNotSatisfiable(Problem):
    """A range of bytes that begins behind the last; carries ``Content-Range``."""

    status, default_code = 416, "bad-request"


class ValidationFailed(Problem):
    """Some values are wrong; each stands in `errors` with its place.

    The code is the code that all `errors` share if it is one of `CODES`, else ``validation-error``.
    """

    status, default_code = 422, "validation-error"

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[ErrorItem] = (),
        headers: Sequence[tuple[str, str]] = (),
        code: str | None = None,
    ) -> None:
        if not detail:
            detail = errors[0].detail if len(errors) == 1 else f"{len(errors)} problems in the request."
        super().__init__(detail, errors=errors, headers=headers, code=code or _shared_code(errors, self.default_code))


class UnknownField(ValidationFailed):
    """A field that does not exist, may not be used so, or is not the caller's to see."""

    default_code = "unknown-field"


class ForeignKeyUnknown(ValidationFailed):
    """A relation id that points at nothing this caller may point at."""

    default_code = "foreign-key"


class QueryTooComplex(ValidationFailed):
    """A search beyond one of the published limits; the detail names the limit."""

    default_code = "query-too-complex"


class PreconditionRequired(Problem):
    """The type demands ``If-Match``."""

    status, default_code = 428, "precondition-required"


class RateLimited(Problem):
    """Too many requests; carries ``Retry-After``."""

    status, default_code = 429, "rate-limited"


class Internal(Problem):
    """A fault of ours. The detail says nothing about it; the log does."""


class Unavailable(Problem):
    """The database (or what else the call needs) is away; carries ``Retry-After`` in seconds."""

    status, default_code = 503, "unavailable"

    def __init__(
        self, detail: str = "The service is unavailable at the moment. Try again shortly.", *, retry_after_s: int = 2
    ) -> None:
        super().__init__(detail, headers=(("Retry-After", str(retry_after_s)),))


@dataclass(frozen=True, slots=True)
class Code:
    """One row of the table of problem codes: what its page, OpenAPI and a reply's ``title`` say."""

    code: str
    status: int
    title: str
    meaning: str
    way_out: str


# fmt: off
CODES: dict[str, Code] = {
    row.code: row
    for row in (
        Code("bad-request", 400, "The request cannot be understood.", "A header, a query parameter or the request's form could not be parsed.", "Read `detail`; it names the part at fault."),
        Code("bad-json", 400, "The body is not valid JSON.", "The body is not strict JSON: a syntax error, a key given twice, or nesting beyond 100 levels.", "Send JSON that a strict parser accepts."),
        Code("cursor-mismatch", 400, "The cursor does not belong to this search.", "A cursor continues exactly one search: same type, parent, account, filter and sort.", "Repeat the filter and sort the cursor came with, or start from the first page."),
        Code("unauthenticated", 401, "Credentials are missing or do not hold.", "The request has no valid bearer token or API key.", "Send `Authorization: Bearer …` or `X-API-Key: …`."),
        Code("forbidden", 403, "You may not do this.", "You are known, but your scopes or roles do not allow this call.", "Ask an administrator of your account for the scope."),
        Code("not-found", 404, "There is nothing here.", "No such object, or none that you may see under this path.", "Check the id, its parent and the account."),
        Code("method-not-allowed", 405, "This path does not take that method.", "The path exists, with other methods.", "Use one of the methods in the `Allow` header."),
        Code("conflict", 409, "The write lost against another one.", "Somebody else changed the object at the same time.", "Read the object again and repeat the change."),
        Code("duplicate", 409, "A value that must be unique is taken.", "Another object already has this value.", "Choose another value; `errors` names the field."),
        Code("foreign-key", 422, "A relation does not hold.", "422: the id points at nothing you may point at. 409: something still points at this object.", "Use the id of an object you can see, or delete the children first."),
        Code("idempotency-conflict", 409, "The Idempotency-Key is in use.", "409: another request with this key has not finished. 422: the key came with another request before.", "409: wait and repeat it with the same key. 422: give each request a key of its own."),
        Code("stale-version", 412, "The object has changed since you read it.", "The version in `If-Match` is not the present one.", "Read the object again and repeat the change with the new ETag."),
        Code("payload-too-large", 413, "The body is too large.", "The body is larger than this call takes.", "Send less, or split the request."),
        Code("unsupported-media-type", 415, "The body's type is not supported.", "The body must be uncompressed, and JSON unless the call takes files.", "Send `Content-Type: application/json` without a `Content-Encoding`; a file as `multipart/form-data` or with its own type."),
        Code("validation-error", 422, "Some values are not valid.", "Each fault stands in `errors` with its place.", "Correct the values and repeat the request."),
        Code("unknown-field", 422, "A field is not known here.", "The field does not exist, cannot be used this way, or is not yours to see.", "The schema document lists what is possible."),
        Code("query-too-complex", 422, "The search is too complex.", "The search is beyond one of the limits that the schema document publishes.", "Split the search; `detail` names the limit."),
        Code("precondition-required", 428, "This write needs If-Match.", "The type accepts a write only against a known version.", "Send the object's ETag as `If-Match`."),
        Code("rate-limited", 429, "Too many requests.", "You have used up this minute's allowance.", "Wait as many seconds as `Retry-After` says."),
        Code("internal", 500, "Something went wrong on our side.", "A fault of the server's; it has been logged under the request id.", "Report the request id."),
        Code("unavailable", 503, "The service is unavailable at the moment.", "The database or another service that the call needs does not answer.", "Repeat the request after `Retry-After` seconds."),
    )
}
# fmt: on


def _shared_code(errors: Sequence[ErrorItem], fallback: str) -> str:
    codes = {item.code for item in errors}
    if len(codes) == 1:
        (code,) = codes
        if code == "too-complex":
            return "query-too-complex"
        if code in CODES:
            return code
    return fallback


# ---------------------------------------------------------------- what the database layer reports upwards


class StorageFault(Exception):
    """What `io/database.py` makes of a driver's error; `execute` turns it into a problem."""


class UniqueViolated(StorageFault):
    """A unique index refused the write. `key` is the index's name, or ``table.column, …`` on SQLite."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class ForeignKeyViolated(StorageFault):
    """A foreign key refused the write. `is_delete` is true when a row that is pointed at was to go."""

    def __init__(self, constraint: str, *, is_delete: bool) -> None:
        super().__init__(constraint)
        self.constraint = constraint
        self.is_delete = is_delete


class ValueRefused(StorageFault):
    """The database refused a value that our checks let through (too long, out of range, not in its charset)."""

    def __init__(self, column: str | None) -> None:
        super().__init__(column or "")
        self.column = column


class StatementTimedOut(StorageFault):
    """The statement ran longer than it may."""
