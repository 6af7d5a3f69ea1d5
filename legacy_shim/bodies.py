"""The old bodies, in words of V3: objects whose ids and fields have old names, and the old search.

Bodies come decoded, bounded and checked by the engine; what is wrong in them beyond that is refused with its place in
the old body. Everything else is V3's to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine import ErrorItem, ValidationFailed
from legacy_shim.parameters import Asked, switch_value
from legacy_shim.words import ENABLE, TypeWords, Words

_SEARCH_KEYS = ("and", "or")
_LEAF_KEYS = ("field", "op", "value")
# Words of the filter grammar that are no operators, and that no field can be called.
_LOGICAL = frozenset({"and", "or", "not"})
# What a PATCH may say of children, each with a list.
_CHANGES = ("create", "update")


def rewrite_object(body: object, words: TypeWords, everything: Words) -> object:
    """Today's names for the fields of an object and of the children in it.

    Raises:
        ValidationFailed: A field is given by an old name and by another, with two values.
    """
    faults: list[ErrorItem] = []
    made = _rename(body, words, everything, "", faults)
    if faults:
        raise ValidationFailed(errors=faults)
    return made


def rewrite_search(body: object, words: TypeWords, everything: Words, asked: Asked) -> object:
    """The V3 search of an old one: ``{"and": [{field, op, value}, …], "or": […]}`` and what the parameters said.

    Both lists hold at once; an empty or absent one says nothing.

    Raises:
        ValidationFailed: It is not of that form; each fault with its place.
    """
    if not isinstance(body, dict):
        raise ValidationFailed(errors=[ErrorItem("type-mismatch", "An object is expected here.", pointer="")])
    faults: list[ErrorItem] = []
    condition: dict[str, object] = {}
    speaks_of_enable = False
    for key, leaves in body.items():
        if key not in _SEARCH_KEYS:
            detail = f"{key[:80]!r} is not a key of this search; it takes and, or."
            faults.append(ErrorItem("unknown-field", detail, pointer=f"/{_escape(key)}"))
        elif leaves is None:
            continue
        elif not isinstance(leaves, list):
            faults.append(ErrorItem("type-mismatch", "A list of conditions is expected here.", pointer=f"/{key}"))
        else:
            read = [_read_leaf(one, f"/{key}/{at}", words, everything, faults) for at, one in enumerate(leaves)]
            speaks_of_enable |= any(ENABLE in leaf for leaf in read)
            if read:
                condition[key] = read
    if faults:
        raise ValidationFailed(errors=faults)
    condition |= asked.condition
    if asked.enabled is not None and not speaks_of_enable:
        condition[ENABLE] = {"eq": switch_value(asked.enabled)}
    return {**asked.search, **({"filter": condition} if condition else {})}


def _read_leaf(
    leaf: object, place: str, words: TypeWords, everything: Words, faults: list[ErrorItem]
) -> Mapping[str, object]:
    if not isinstance(leaf, dict):
        faults.append(ErrorItem("type-mismatch", "A condition is {field, op, value}.", pointer=place))
        return {}
    before = len(faults)
    for key in leaf:
        if key not in _LEAF_KEYS:
            detail = f"{key[:80]!r} is not a key of a condition; it takes field, op, value."
            faults.append(ErrorItem("unknown-field", detail, pointer=f"{place}/{_escape(key)}"))
    for key in _LEAF_KEYS:
        if key not in leaf:
            faults.append(ErrorItem("required", f"A condition needs {key}.", pointer=f"{place}/{key}"))
    name, operator = leaf.get("field"), leaf.get("op")
    for key, text in (("field", name), ("op", operator)):
        if key in leaf and not isinstance(text, str):
            faults.append(ErrorItem("type-mismatch", "A string is expected here.", pointer=f"{place}/{key}"))
        elif isinstance(text, str) and text.lstrip("_$") in _LOGICAL:
            what = "a field" if key == "field" else "an operator"
            faults.append(ErrorItem("bad-operand", f"{text[:80]!r} is not {what}.", pointer=f"{place}/{key}"))
    if len(faults) > before or not isinstance(name, str) or not isinstance(operator, str):
        return {}
    return {everything.name_today(words, name): {operator: leaf["value"]}}


def _rename(body: object, words: TypeWords, everything: Words, place: str, faults: list[ErrorItem]) -> object:
    if not isinstance(body, dict):
        return body
    made: dict[str, object] = {}
    for name, value in body.items():
        today = words.new_of.get(name, name)
        if (today != name and today in body and body[today] != value) or (today in made and made[today] != value):
            faults.append(_contradiction(name, today, place))
        elif name in words.to_many:
            target = everything.types[words.relations[name]]
            made[name] = _rename_children(value, target, everything, f"{place}/{name}", faults)
        else:
            made[today] = value
    return made


def _rename_children(
    value: object, target: TypeWords, everything: Words, place: str, faults: list[ErrorItem]
) -> object:
    if isinstance(value, list):
        return [_rename(one, target, everything, f"{place}/{at}", faults) for at, one in enumerate(value)]
    if isinstance(value, dict):
        return {
            key: _rename_children(one, target, everything, f"{place}/{key}", faults) if key in _CHANGES else one
            for key, one in value.items()
        }
    return value


def _contradiction(name: str, today: str, place: str) -> ErrorItem:
    detail = f"{name} and {today} are the same field, and two values are given for it."
    return ErrorItem("bad-operand", detail, pointer=f"{place}/{name}")


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
