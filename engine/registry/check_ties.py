"""Checks of how types are named and tied together: parents, references, accounts, segments, old names."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.registry.assemble import ENGINE_FIELDS
from engine.registry.findings import Path, Report, suggest
from engine.registry.grammar import FieldDeclaration, LegacySwitchesDeclaration, RegistryFile, TypeDeclaration
from engine.registry.legacy import BROWNOUT_EXAMPLE, OFF_EXAMPLE, NoSwitch, read_brownout, read_off
from engine.registry.names import RESERVED_FIELDS, RESERVED_TYPES, is_name, snake_case
from engine.registry.relations import read_parent
from engine.registry.zones import is_zone

_NAME_HELP = "small letters, digits and single underscores, a letter first, at most 60 characters"
# What a type may say of the fields that the engine writes.
_LOOKS = frozenset({"title", "help", "widget", "ui", "hidden", "heavy", "read", "timezone"})
_HIDES = frozenset({"created_on", "updated_on"})


def check_ties(said: RegistryFile, report: Report) -> None:
    """Report what is wrong with types and their ties, whatever the database."""
    for name, one in said.types.items():
        path: Path = ("types", name)
        _check_type_name(name, path, report)
        _check_account(one, path, report)
        _check_parents(name, one, said, path, report)
        for field_name, field in one.fields.items():
            _check_field(one, field_name, field, said, (*path, "fields", field_name), report)
        if one.page is not None and (one.page.limit or 0) > (one.page.max or 10_000):
            report.add("R111", (*path, "page", "limit"), "`limit` is greater than `max`")
    _check_cycles(said, report)
    _check_accounts(said, report)
    _check_segments(said, report)
    _check_legacy(said, report)
    _check_file(said, report)


# ---------------------------------------------------------------- one type


def _check_type_name(name: str, path: Path, report: Report) -> None:
    if not is_name(name):
        label = f"did you mean `{snake_case(name)}`?" if is_name(snake_case(name)) else ""
        report.add("R401", path, f"`{name}` is no name of a type", label=label, help=_NAME_HELP, at_key=True)
    elif name in RESERVED_TYPES:
        report.add("R402", path, f"`{name}` is a word of the API's paths, so no type can be called so", at_key=True)


def _check_account(said: TypeDeclaration, path: Path, report: Report) -> None:
    account = said.account
    kinds = [account.own is not None, account.none is not None, bool(account.inherited), bool(account.self_)]
    if sum(kinds) != 1:
        help_ = "one of `self`, `own`, `inherited`, `{own: column}`, `{none: reason}`"
        report.add("R111", (*path, "account"), "a type belongs to an account in exactly one way", help=help_)
    if account.inherited and not said.parent:
        report.add(
            "R204", (*path, "account"), "the account is inherited, but there is no parent to inherit it from",
            help="say `parent:`, or `account: own`",
        )  # fmt: skip


def _check_parents(name: str, said: TypeDeclaration, file: RegistryFile, path: Path, report: Report) -> None:
    seen: dict[str, str] = {}
    for index, parent in enumerate(said.parent or ()):
        at: Path = (*path, "parent", index)
        if parent.type not in file.types:
            _report_type(parent.type, file, (*at, "type"), report)
        made = read_parent(name, parent)
        if made.field in seen:
            report.add("R206", at, f"two parents share the field `{made.field}`", help="give one a `field:`")
        seen[made.field] = parent.type
        for word, key in ((made.segment, "segment"), (made.field, "field")):
            if not is_name(word):
                report.add("R401", (*at, key), f"`{word}` is no name of a {key}", help=_NAME_HELP)
        if made.segment in RESERVED_TYPES | RESERVED_FIELDS:
            help_ = "give the parent another `segment:`"
            report.add("R402", (*at, "segment"), f"`{made.segment}` is a word of the API, so no segment", help=help_)
        if not made.field.endswith("_id"):
            report.add("R406", (*at, "field"), f"`{made.field}` holds an id, so its name ends in `_id`")
        field = said.fields.get(made.field)
        if field is not None and field.ref is not None and field.ref != parent.type:
            message = f"{made.field} points at {field.ref}, but it is the field of the parent {parent.type}"
            report.add("R206", (*path, "fields", made.field, "ref"), message, help="leave `ref` out")


def _check_field(
    type_: TypeDeclaration, name: str, said: FieldDeclaration, file: RegistryFile, path: Path, report: Report
) -> None:
    if not is_name(name):
        better = snake_case(name)
        label = f"did you mean `{better}`?" if is_name(better) and better != name else ""
        help_ = f"`{better}: {{column: {name}}}` keeps the column's name" if label else _NAME_HELP
        report.add("R401", path, f"`{name}` is no name of a field", label=label, help=help_, at_key=True)
    elif name in RESERVED_FIELDS:
        help_ = f"`{name}_value: {{column: {name}}}` keeps the column's name"
        report.add("R402", path, f"`{name}` is a word of the search language, so no field", help=help_, at_key=True)
    elif name in ENGINE_FIELDS:
        allowed = _LOOKS if name in _HIDES else _LOOKS - {"hidden"}
        for key in sorted(said.model_fields_set - allowed):
            message = f"{name} is the engine's own, so `{key}` cannot be said of it"
            report.add("R407", (*path, key), message, help=f"it takes {', '.join(sorted(allowed))}", at_key=True)
        return
    if said.ref is not None:
        if said.ref not in file.types:
            _report_type(said.ref, file, (*path, "ref"), report)
        if not name.endswith("_id") or name == "_id":
            label = f"did you mean `{name}_id`?"
            message = f"`{name}` holds an id, so its name ends in `_id`; the relation is called without"
            report.add("R406", path, message, label=label, at_key=True)
    if said.reverse is not None:
        _check_reverse(said.reverse, (*path, "reverse"), report)


def _check_reverse(name: str, path: Path, report: Report) -> None:
    if not is_name(name):
        report.add("R401", path, f"`{name}` is no name of a relation", help=_NAME_HELP)
    elif name in RESERVED_FIELDS:
        report.add("R402", path, f"`{name}` is a word of the search language, so no relation")


def _report_type(name: str, file: RegistryFile, path: Path, report: Report) -> None:
    help_ = "" if suggest(name, file.types) else "declare it under `types:`"
    report.add("R201", path, f"there is no type `{name}`", label=suggest(name, file.types), help=help_)


# ---------------------------------------------------------------- all types


def _parents_of(said: TypeDeclaration, file: RegistryFile) -> Iterator[str]:
    return (parent.type for parent in said.parent or () if parent.type in file.types)


def _check_cycles(said: RegistryFile, report: Report) -> None:
    """Report each ring of parents once, at the type of it that stands first."""
    done: set[str] = set()
    for start in said.types:
        trail: list[str] = []
        # (type, whether its parents are all done)
        stack = [(start, False)]
        while stack:
            name, is_left = stack.pop()
            if is_left:
                done.add(name)
                trail.pop()
            elif name in trail:
                ring = [*trail[trail.index(name) :], name]
                first = min(ring, key=list(said.types).index)
                report.add(
                    "R203", ("types", first, "parent"), f"parents in a ring: {' → '.join(ring)}",
                    help="let one of them be a plain `ref`",
                )  # fmt: skip
            elif name not in done:
                trail.append(name)
                stack.append((name, True))
                stack.extend((parent, False) for parent in _parents_of(said.types[name], said))


def _check_accounts(said: RegistryFile, report: Report) -> None:
    selves = [name for name, one in said.types.items() if one.account.self_]
    for name in selves[1:]:
        message = f"{name} is a second account type beside {selves[0]}"
        report.add("R205", ("types", name, "account"), message, help="one type is the account; others are `own`")
    for name, one in said.types.items():
        if not selves and (one.account.own is not None or one.account.inherited):
            help_ = "declare one with `account: self`, or say `{none: reason}`"
            report.add(
                "R209", ("types", name, "account"), f"{name} belongs to accounts, but no type is one", help=help_
            )
        elif one.account.inherited and one.parent:
            for index, parent in enumerate(one.parent):
                above = said.types.get(parent.type)
                if above is not None and above.account.none is not None:
                    message = f"{name} inherits its account, but its parent {parent.type} has none"
                    help_ = f"give {parent.type} an account, or say `account: own`"
                    report.add("R210", ("types", name, "parent", index, "type"), message, help=help_)


def _check_segments(said: RegistryFile, report: Report) -> None:
    taken: dict[tuple[str, str], str] = {}
    for name, one in said.types.items():
        for index, parent in enumerate(one.parent or ()):
            made = read_parent(name, parent)
            other = taken.setdefault((parent.type, made.segment), name)
            if other != name:
                message = f"{name} and {other} both stand under {parent.type} as `{made.segment}`"
                path: Path = ("types", name, "parent", index, "segment")
                report.add("R403", path, message, help="give one of them another `segment:`")


def _check_legacy(said: RegistryFile, report: Report) -> None:
    _check_switches(said.legacy, ("legacy",), report)
    taken = dict.fromkeys(said.types, "a type")
    for name, one in said.types.items():
        old = one.legacy.name if one.legacy is not None else None
        if one.legacy is not None:
            _check_switches(one.legacy, ("types", name, "legacy"), report)
        if old is None or old == name:
            continue
        if old in taken:
            path: Path = ("types", name, "legacy", "name")
            report.add("R405", path, f"`{old}` is {taken[old]} already, so V1 and V2 cannot tell which is meant")
        taken.setdefault(old, f"the old name of {name}")


def _check_switches(said: LegacySwitchesDeclaration, path: Path, report: Report) -> None:
    read: Callable[[str], object]
    for key, words, read, example in (
        ("off", said.off, read_off, OFF_EXAMPLE),
        ("brownout", said.brownout, read_brownout, BROWNOUT_EXAMPLE),
    ):
        for index, word in enumerate(words):
            try:
                read(word)
            except NoSwitch as error:
                report.add("R107", (*path, key, index), f"`{word[:60]}` {error}", help=f"such as {example}")


def _check_file(said: RegistryFile, report: Report) -> None:
    if said.auth is not None and said.auth.user not in said.types:
        _report_type(said.auth.user, said, ("auth", "user"), report)
    if not is_zone(said.timezone):
        message = f"`{said.timezone[:60]}` is no time zone"
        report.add("R107", ("timezone",), message, help="such as Europe/Berlin or UTC")
