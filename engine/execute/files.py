"""Files found for a caller: what their rows say of them. Their bytes are `io/blobs/`'s business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.execute.runtime import Runtime, with_rules
from engine.language.ids import is_public_id
from engine.light import light
from engine.plan.files import containers, file_hops, file_type, file_types, is_open, plan_digest, plan_file
from engine.plan.read import not_found
from engine.plan.shape import PlanContext, ReadPlan
from engine.registry.resource import FileRule, Resource


@light
@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file that is there for the caller.

    Attributes:
        type: Its type's name.
        public_id: Its id.
        digest: SHA-256 of its bytes, 64 lower-case hex digits.
        size_bytes: How many they are.
    """

    type: str
    public_id: str
    digest: str
    size_bytes: int
    content_type: str | None
    file_name: str


async def find_file(
    runtime: Runtime, public_id: str, context: PlanContext, *, type_name: str | None = None
) -> HeldFile:
    """The file that an id leads to: its own, or that of an object which resolves to it.

    Args:
        runtime: The running engine.
        public_id: As a caller sent it.
        context: Caller and time.
        type_name: Which type's id it is; None = of any type that is a file or leads to one.

    Raises:
        NotFound: It leads to none that is there for the caller and has bytes.
    """
    if not is_public_id(public_id):
        raise not_found()
    registry = context.registry
    for resource in (*file_types(registry), *containers(registry)):
        hops = file_hops(registry, resource)
        if (
            hops is None
            or (type_name is not None and resource.name != type_name)
            or not is_open(resource, hops, context)
        ):
            continue
        found = await _read(runtime, plan_file(resource, hops, public_id, context), context)
        if found is None:
            continue
        for hop in hops:
            found = found.get(hop) or {}
        target = file_type(registry, resource, hops)
        held = _held(target, target.file, found)
        if held is None:
            break
        return held
    raise not_found()


async def find_digest(runtime: Runtime, digest: str, context: PlanContext) -> HeldFile:
    """A file with these bytes that an account of the caller has.

    Args:
        runtime: The running engine.
        digest: A digest, well formed.
        context: Caller and time.

    Raises:
        NotFound: There is none, as far as he can tell.
    """
    for resource in file_types(context.registry):
        if resource.file is None or not is_open(resource, (), context):
            continue
        found = await _read(runtime, plan_digest(resource, resource.file, digest, context), context)
        held = _held(resource, resource.file, found or {})
        if held is not None:
            return held
    raise not_found()


async def _read(runtime: Runtime, plan: ReadPlan, context: PlanContext) -> dict[str, Any] | None:
    prepared = runtime.prepare(plan.shape, context.rights)
    values = with_rules(runtime, prepared, plan.values, context)
    rows = await runtime.database.fetch(prepared.statement.text, prepared.statement.arrange(values), point=True)
    return prepared.writer.write(rows[0]) if rows else None


def _held(resource: Resource, rule: FileRule | None, found: Mapping[str, Any]) -> HeldFile | None:
    if rule is None or not found.get(rule.digest) or found[rule.size] is None:
        return None
    return HeldFile(
        resource.name, found["id"], found[rule.digest], found[rule.size], found[rule.type], found[rule.name] or ""
    )
