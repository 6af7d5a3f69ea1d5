"""What the relations of a body point at: found, of the right account, and there for the caller."""

from __future__ import annotations

from collections.abc import Mapping

from engine.execute.faults import unknown_target
from engine.execute.session import Session
from engine.io.resolver import ResolvedRow
from engine.language.ids import is_public_id
from engine.plan.read import not_found
from engine.plan.selection import id_selection
from engine.plan.shape import ReadShape
from engine.plan.values import Draft, Reference
from engine.plan.write import must_prove, sees_account
from engine.registry.resource import Resource


async def resolve_references(session: Session, draft: Draft, *, checks: bool = False) -> dict[str, ResolvedRow]:
    """Find the rows that a body's relations point at, in the caller's accounts.

    Args:
        session: The write.
        draft: Its references are resolved; what does not hold becomes a fault of it.
        checks: Also look whether each is visible, where a row can be hidden.

    Returns:
        Field → row.

    Raises:
        NotFound: The parent of the path is not there.
    """
    found: dict[str, ResolvedRow] = {}
    for reference in draft.references:
        row = None
        if is_public_id(reference.public_id):
            row = await session.resolve(reference.type, reference.public_id)
        if row is not None and not sees_account(session.context, row.account_row_id):
            row = None
        if row is not None and checks and not await is_visible(session, reference.type, row.row_id):
            row = None
        if row is None:
            _refuse_target(draft, reference)
        else:
            found[reference.field] = row
    return found


def refuse_strangers(draft: Draft, found: Mapping[str, ResolvedRow], account: int | None) -> None:
    """Refuse targets of another account than the row's own, though the caller belongs to both.

    Raises:
        NotFound: The parent of the path is such a one.
    """
    for reference in draft.references:
        row = found.get(reference.field)
        if row is not None and account is not None and row.account_row_id not in (None, account):
            _refuse_target(draft, reference)


def proven_targets(
    session: Session, resource: Resource, draft: Draft, found: Mapping[str, ResolvedRow]
) -> tuple[tuple[str, ...], dict[str, object]]:
    """The types that the statement must prove to be there, and the binds with their row ids."""
    types: list[str] = []
    values: dict[str, object] = {}
    for reference in draft.references:
        target = session.runtime.registry.types[reference.type]
        is_keyed = resource.fields[reference.field].is_keyed
        if must_prove(target, session.viewer, session.context, is_keyed=is_keyed):
            values[f"target{len(types)}"] = found[reference.field].row_id
            types.append(reference.type)
    return tuple(types), values


async def is_visible(session: Session, type_name: str, row_id: int) -> bool:
    """Whether a row is there for the caller at this moment."""
    shape = ReadShape(type_name, session.viewer, id_selection(type_name), "key")
    prepared = session.runtime.prepare(shape, session.context.rights)
    binds = session.arrange(prepared.statement, {"row_id": row_id})
    return bool(await session.runner.fetch(prepared.statement.text, binds, point=True))


async def hash_passwords(session: Session, draft: Draft) -> None:
    """Replace passwords by their argon2id hashes.

    Raises:
        Unavailable: Too many are being hashed already.
    """
    for name in draft.passwords:
        if draft.stored.get(name) is not None:
            draft.stored[name] = await session.runtime.passwords.hash(str(draft.stored[name]))
    draft.passwords.clear()


def _refuse_target(draft: Draft, reference: Reference) -> None:
    if reference.pointer is None:
        raise not_found()
    draft.faults.append(unknown_target(reference))
