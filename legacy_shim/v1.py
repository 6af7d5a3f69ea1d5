"""V1: its routes (`/` and `/api/`) and the shape of its replies, which are the bare object or list.

Deleting this file removes V1, its routes and its documentation, and nothing else.
"""

from __future__ import annotations

from legacy_shim.shapes import LIST_PARAMETERS, Example, Version, make_route


def _show_success(status: int, data: object) -> object:
    return data


def _show_error(status: int, detail: str) -> object:
    return {"detail": detail}


VERSION = Version(
    name="v1",
    prefixes=("", "/api"),
    shapes=(_show_success, _show_error),
    routes=(
        make_route(
            "v1:get",
            ("GET",),
            "/{type}/{id}",
            "GET /v3/crud/{type}/{id}",
            "200, the object",
            Example("GET", "/journal/{journal}"),
        ),
        make_route(
            "v1:list",
            ("GET",),
            "/{type}/list",
            "GET /v3/crud/{type}/",
            "200, the list of objects",
            Example(
                "GET", "/journal_entry/list", "for_obj_type=journal&for_obj_id={journal}&order_by=title&desc=1&limit=5"
            ),
            LIST_PARAMETERS,
        ),
        make_route(
            "v1:create",
            ("POST",),
            "/{type}",
            "POST /v3/crud/{type}/",
            "200, the object",
            Example(
                "POST", "/journal_entry", body={"journal_id_random": "{journal}", "title": "Written by an old client"}
            ),
        ),
        make_route(
            "v1:update",
            ("PUT", "PATCH"),
            "/{type}/{id}",
            "PATCH /v3/crud/{type}/{id}",
            "200, the object",
            Example("PUT", "/journal/{journal}", body={"description": "Changed by an old client"}),
        ),
        make_route(
            "v1:delete",
            ("DELETE",),
            "/{type}/{id}",
            "DELETE /v3/crud/{type}/{id}",
            '200, `{"deleted": true, "id_random": …}`',
            Example("DELETE", "/journal/{journal}"),
        ),
    ),
)
