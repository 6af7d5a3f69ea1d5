"""Declarations and, where there is one, a reflected database, made into the frozen `Registry`: every default decided.

Always makes a registry, as good as it can be made; whether it may run is for the
report to say. A type is begun in `drafts.py`, given its fields in `assemble.py`, its
relations in `relations.py`, and completed in `finish.py`; `checks.py` says what is wrong
with the whole.
"""

from __future__ import annotations

from types import MappingProxyType

from engine.registry.assemble import Assembler
from engine.registry.check_sign_in import read_sign_in
from engine.registry.drafts import Draft, start_type
from engine.registry.findings import Report
from engine.registry.finish import finish_type
from engine.registry.grammar import ACCOUNT_COLUMN, RegistryFile
from engine.registry.legacy import read_switches
from engine.registry.reflection import ReflectedDatabase
from engine.registry.relations import wire_types
from engine.registry.resource import ColumnNames, Limits, Registry


def build_registry(
    said: RegistryFile, reflection: ReflectedDatabase | None, report: Report, *, digest: str = "", source: str = ""
) -> Registry:
    """Make the registry.

    Args:
        said: All files' declarations, merged.
        reflection: The database as it is; None when it is not known, which is no reason to complain.
        report: Takes what the database and the declarations disagree about.
        digest: Of all that was declared and reflected.
        source: The file's name.
    """
    columns = ColumnNames(
        said.defaults.ids.row, said.defaults.ids.public, said.defaults.timestamps.created,
        said.defaults.timestamps.updated, said.defaults.version, ACCOUNT_COLUMN,
    )  # fmt: skip
    drafts = {name: start_type(name, one, reflection, columns, report) for name, one in said.types.items()}
    account_type = next((name for name, one in drafts.items() if one.account.kind == "self"), None)
    tables: dict[str, list[Draft]] = {}
    for draft in drafts.values():
        tables.setdefault(draft.said.table.lower(), []).append(draft)
    builder = Assembler(reflection, report, drafts, tables, account_type, said.timezone)
    for draft in drafts.values():
        builder.add_fields(draft)
    wiring = wire_types({name: (one.said, one.fields) for name, one in drafts.items()}, builder.refs)
    types = {name: finish_type(draft, wiring[name], said.defaults.page) for name, draft in drafts.items()}
    limits = {key: value for key, value in said.limits.model_dump().items() if value is not None}
    return Registry(
        types=MappingProxyType(types),
        roles=MappingProxyType({role: tuple(scopes) for role, scopes in said.roles.items()}),
        user_type=said.auth.user if said.auth and said.auth.user in types else None,
        require_user=bool(said.auth and said.auth.require_user),
        sign_in=read_sign_in(said.auth, types),
        account_type=account_type,
        limits=Limits(**limits),
        timezone=said.timezone,
        digest=digest,
        source=source,
        columns=columns,
        legacy=read_switches(said.legacy.off, said.legacy.brownout),
    )
