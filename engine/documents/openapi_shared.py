"""What every OpenAPI document of ours holds, whatever the registry: problems, headers, parameters, credentials."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from engine.documents.links import PROBLEMS
from engine.errors import CODES
from engine.language.query import MAX_QUERY_BYTES
from engine.language.search import COUNT_MODES, DELETED_MODES, MAX_Q
from engine.registry.parsing import ID_PATTERN

Json = dict[str, Any]

EXAMPLE_ID = "Zk3_pQ9xR1sT7uVwXyZa0b"
REQUEST_ID_PATTERN = r"^[A-Za-z0-9._-]{1,64}$"
TAGS = {"type": "string", "pattern": r'^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*"){0,9})$', "examples": ["*"]}
FLAG = {"type": "string", "enum": ["true", "false", "1", "0"]}
ID_VALUE = {"type": "string", "pattern": ID_PATTERN}
ID_LIST_PATTERN = r"^([A-Za-z0-9_-]{11,64}(,[A-Za-z0-9_-]{11,64}){0,99})?$"
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
OPTIONAL_SECURITY: list[dict[str, list[str]]] = [{}, *SECURITY]

ITEM_CODES = (
    "required", "unknown-field", "type-mismatch", "too-long", "too-short", "out-of-range", "pattern", "not-in-enum",
    "read-only", "duplicate", "foreign-key", "parent-mismatch", "too-complex", "bad-operand",
)  # fmt: skip

# Status → codes that a reply of that status can have. A code may stand under two statuses.
STATUS_CODES: dict[int, tuple[str, ...]] = {
    400: ("bad-request", "bad-json", "cursor-mismatch"),
    401: ("unauthenticated",),
    403: ("forbidden",),
    404: ("not-found",),
    408: ("bad-request",),
    409: ("conflict", "duplicate", "foreign-key", "idempotency-conflict"),
    412: ("stale-version",),
    413: ("payload-too-large",),
    415: ("unsupported-media-type",),
    416: ("bad-request",),
    422: ("validation-error", "unknown-field", "query-too-complex", "foreign-key", "idempotency-conflict"),
    428: ("precondition-required",),
    429: ("rate-limited",),
    503: ("unavailable",),
}
_ITEM_EXAMPLES: dict[str, Json] = {
    "validation-error": {"pointer": "/title", "code": "too-long", "detail": "title takes at most 200 characters."},
    "unknown-field": {
        "pointer": "/filter/titel",
        "code": "unknown-field",
        "detail": "There is no field 'titel' that can be used here.",
        "suggestions": ["title"],
    },
    "query-too-complex": {
        "pointer": "/filter/or",
        "code": "too-complex",
        "detail": "The filter has more than 200 conditions (limit `leaves`). Split the search.",
    },
    "foreign-key": {"pointer": "/parent_id", "code": "foreign-key", "detail": "There is nothing with this id."},
    "duplicate": {"pointer": "/reference", "code": "duplicate", "detail": "Another object already has this value."},
}


def problem_ref(status: int) -> Json:
    """The reply of a refusal with a status."""
    return ref("responses", f"Problem{status}")


def ref(section: str, name: str) -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/{section}/{name}"}


def model(name: str) -> Json:
    """A reference to a model."""
    return ref("schemas", name)


def parameter(name: str) -> Json:
    """A reference to a parameter."""
    return ref("parameters", name)


def json_content(schema: Json) -> Json:
    """Content of a JSON body."""
    return {"application/json": {"schema": schema}}


def reply(description: str, schema: Json | None = None, headers: Iterable[str] = ()) -> Json:
    """A success, with its headers by component name."""
    made: Json = {"description": description, "headers": {_HEADER_NAMES[one]: ref("headers", one) for one in headers}}
    made["headers"]["X-Request-Id"] = ref("headers", "RequestId")
    if schema is not None:
        made["content"] = json_content(schema)
    return made


def shared_components() -> Json:
    """Components that all documents have, by section."""
    return {
        "schemas": _schemas(),
        "responses": {f"Problem{status}": _problem_reply(status, codes) for status, codes in STATUS_CODES.items()},
        "parameters": _parameters(),
        "headers": _headers(),
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "A person's or a service's token.",
            },
            "apiKey": {
                "type": "apiKey",
                "in": "header",
                "name": "X-API-Key",
                "description": "A machine's key: `<prefix>.<secret>`.",
            },
        },
    }


# ---------------------------------------------------------------- models


def _schemas() -> Json:
    text = {"type": "string"}
    warnings = {"type": "array", "items": text, "description": "What was done otherwise than asked, in words."}
    return {
        "Problem": {
            "title": "Problem",
            "description": "Every refusal (RFC 9457).",
            "type": "object",
            "required": ["type", "title", "status", "code", "detail", "instance", "request_id"],
            "properties": {
                "type": {"type": "string", "description": "The problem's page."},
                "title": text,
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "code": {"type": "string", "enum": list(CODES)},
                "detail": text,
                "instance": text,
                "request_id": {"type": "string", "pattern": REQUEST_ID_PATTERN},
                "errors": {"type": "array", "items": model("Fault")},
            },
        },
        "Fault": {
            "title": "Fault",
            "description": "One thing that is wrong, and where: a pointer into the body, a parameter or a header.",
            "type": "object",
            "required": ["code", "detail"],
            "properties": {
                "pointer": text,
                "parameter": text,
                "header": text,
                "code": {"type": "string", "examples": list(ITEM_CODES)},
                "detail": text,
                "suggestions": {"type": "array", "items": text},
            },
        },
        "Timezone": {
            "title": "Time zone",
            "description": "A name of the IANA time zone database.",
            "type": "string",
            "enum": sorted(_zones()),
        },
        "PageMeta": {
            "title": "Page",
            "type": "object",
            "required": ["limit", "has_more"],
            "properties": {
                "limit": {"type": "integer", "minimum": 0},
                "offset": {"type": ["integer", "null"], "minimum": 0},
                "has_more": {"type": "boolean"},
                "next_cursor": {"type": ["string", "null"]},
                "prev_cursor": {"type": ["string", "null"]},
                "total": {"type": "integer", "minimum": 0},
                "total_mode": {"type": "string", "enum": ["exact", "estimated"]},
                "warnings": warnings,
                "explain": {"type": "object"},
            },
        },
        "ObjectMeta": {
            "title": "About the object",
            "type": "object",
            "properties": {"validate_only": {"type": "boolean"}, "warnings": warnings},
        },
        "OptionPage": {
            "title": "Choices",
            "type": "object",
            "required": ["data", "meta"],
            "properties": {
                "data": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["value", "label"],
                        "properties": {"value": ID_VALUE, "label": text},
                    },
                },
                "meta": model("PageMeta"),
            },
        },
        "Trial": {
            "title": "A trial",
            "description": "What a create would make; it has no id yet.",
            "type": "object",
            "required": ["data", "meta"],
            "properties": {"data": {"type": "object"}, "meta": model("ObjectMeta")},
        },
    }


@cache
def _zones() -> frozenset[str]:
    return frozenset(name for name in available_timezones() if "/" in name or name == "UTC")


def _problem_reply(status: int, codes: tuple[str, ...]) -> Json:
    headers = {"X-Request-Id": ref("headers", "RequestId")}
    if status in (429, 503):
        headers["Retry-After"] = ref("headers", "RetryAfter")
    if status == 401:
        headers["WWW-Authenticate"] = ref("headers", "Authenticate")
    return {
        "description": CODES[codes[0]].title,
        "headers": headers,
        "content": {
            "application/problem+json": {
                "schema": model("Problem"),
                "examples": {code: {"value": _example(status, code)} for code in codes},
            }
        },
    }


def _example(status: int, code: str) -> Json:
    row = CODES[code]
    made: Json = {
        "type": f"{PROBLEMS}/{code}",
        "title": row.title,
        "status": status,
        "code": code,
        "detail": row.meaning,
        "instance": "/v3/crud/",
        "request_id": "4sK1v0Qe2mB",
    }
    if code in _ITEM_EXAMPLES and status in (409, 422):
        made["errors"] = [_ITEM_EXAMPLES[code]]
    return made


# ---------------------------------------------------------------- headers and parameters

_HEADER_NAMES = {
    "ETag": "ETag",
    "WrittenETag": "ETag",
    "Location": "Location",
    "RequestId": "X-Request-Id",
    "RetryAfter": "Retry-After",
    "Authenticate": "WWW-Authenticate",
    "PreferenceApplied": "Preference-Applied",
}


def _headers() -> Json:
    def header(description: str, schema: Json, *, is_required: bool = True) -> Json:
        return {"description": description, "required": is_required, "schema": schema}

    text = {"type": "string"}
    return {
        "ETag": header("The version of what is answered; `If-Match` takes it.", text),
        "WrittenETag": header("The version as it is now.", text, is_required=False),
        "Location": header("Where the new object is.", text),
        "RequestId": header("The id that the server's log knows the request by.", text),
        "RetryAfter": header("Seconds to wait.", {"type": "integer", "minimum": 0}),
        "Authenticate": header("How to show who you are.", text),
        "PreferenceApplied": header("What of `Prefer` was done.", text, is_required=False),
    }


def _parameters() -> Json:
    def query(name: str, description: str, schema: Json) -> Json:
        return {"name": name, "in": "query", "description": description, "schema": schema}

    def header(name: str, description: str, schema: Json) -> Json:
        return {"name": name, "in": "header", "description": description, "schema": schema}

    size = {"type": "integer", "minimum": 0}
    return {
        "Id": {"name": "id", "in": "path", "required": True, "description": "Public id.", "schema": ID_VALUE},
        "AccountId": header(
            "X-Account-Id", "Which of your accounts is meant; not needed where you have one.", ID_VALUE
        ),
        "IfMatch": header("If-Match", "Only if the version is one of these ETags, or `*`.", TAGS),
        "IfNoneMatch": header("If-None-Match", "Only if the version is none of these ETags.", TAGS),
        "Prefer": header("Prefer", "`return=minimal` or `return=representation`.", {"type": "string"}),
        "Q": query("q", "Words that must occur in the searchable texts.", {"type": "string", "maxLength": MAX_Q}),
        "Limit": query("limit", "Objects on a page; more than the type's maximum is reduced.", size),
        "Offset": query("offset", "Objects to leave out.", {**size, "maximum": 100_000}),
        "Cursor": query(
            "cursor", "`meta.next_cursor` or `meta.prev_cursor` of a page of the same search.", {"type": "string"}
        ),
        "Count": query("count", "Whether to count all.", {"type": "string", "enum": list(COUNT_MODES)}),
        "Deleted": query(
            "deleted", "Whether to answer deleted objects.", {"type": "string", "enum": list(DELETED_MODES)}
        ),
        "Timezone": query("timezone", "IANA zone for plain dates and functions.", model("Timezone")),
        "Explain": query("explain", "Answer how the search was understood.", FLAG),
        "ValidateOnly": query("validate_only", "Do everything and keep nothing.", FLAG),
        "Hard": query("hard", "Delete for good; needs the scope `<type>:delete_hard`.", FLAG),
        "Ids": query("ids", "Only these objects, with commas between.", {"type": "string", "pattern": ID_LIST_PATTERN}),
    }


QUERY_NOTE = f"A query string holds at most {MAX_QUERY_BYTES} bytes; `POST …/search` takes more."
