"""V2: its routes (`/v2/crud/` and `/crud/`) and the shape of its replies, an envelope that holds the status.

Deleting this file removes V2, its routes and its documentation, and nothing else.
"""

from __future__ import annotations

from http import HTTPStatus

from legacy_shim.shapes import LIST_PARAMETERS, Example, Version, make_route

FIRST_ERROR = 400
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def _show_success(status: int, data: object) -> object:
    return {"data": data, "meta": _meta(status, len(data) if isinstance(data, list) else 1)}


def _show_error(status: int, detail: str) -> object:
    return {"data": None, "meta": {**_meta(status, 0), "detail": detail}}


def _meta(status: int, count: int) -> dict[str, object]:
    return {
        "status_code": status,
        "status_name": _PHRASES[status],
        "success": status < FIRST_ERROR,
        "count": count,
    }


VERSION = Version(
    name="v2",
    prefixes=("/v2/crud", "/crud"),
    shapes=(_show_success, _show_error),
    routes=(
        make_route(
            "v2:get",
            ("GET",),
            "/{type}/{id}",
            "GET /v3/crud/{type}/{id}",
            "200, the envelope of the object",
            Example("GET", "/v2/crud/journal/{journal}"),
        ),
        make_route(
            "v2:list",
            ("GET",),
            "/{type}/list",
            "GET /v3/crud/{type}/",
            "200, the envelope of the list",
            Example("GET", "/v2/crud/journal/list", "enabled=all&order_by=name&limit=5"),
            LIST_PARAMETERS,
        ),
        make_route(
            "v2:search",
            ("POST",),
            "/{type}/search",
            "POST /v3/crud/{type}/search",
            "200, the envelope of the list",
            Example(
                "POST",
                "/v2/crud/journal_entry/search",
                "limit=5",
                {
                    "and": [{"field": "journal_id_random", "op": "eq", "value": "{journal}"}],
                    "or": [
                        {"field": "title", "op": "icontains", "value": "a"},
                        {"field": "priority", "op": "gte", "value": 5},
                    ],
                },
            ),
            LIST_PARAMETERS,
        ),
        make_route(
            "v2:create",
            ("POST",),
            "/{type}",
            "POST /v3/crud/{type}/",
            "200, the envelope of the object, `meta.status_code` 201",
            Example("POST", "/v2/crud/journal", body={"name": "Made by an old client"}),
        ),
        make_route(
            "v2:update",
            ("PUT", "PATCH"),
            "/{type}/{id}",
            "PATCH /v3/crud/{type}/{id}",
            "200, the envelope of the object",
            Example("PATCH", "/v2/crud/journal/{journal}", body={"description": "Changed by an old client"}),
        ),
        make_route(
            "v2:delete",
            ("DELETE",),
            "/{type}/{id}",
            "DELETE /v3/crud/{type}/{id}",
            '200, the envelope of `{"deleted": true, "id_random": …}`, `meta.status_code` 204',
            Example("DELETE", "/v2/crud/journal/{journal}"),
        ),
    ),
)
