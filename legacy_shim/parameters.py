"""The old query parameters, in words of V3. What is not one of them goes on as it came: V3 takes or refuses it.

Faults that V3 would find are left to V3. The few that it cannot see (a parent that is none, a switch that is neither on
nor off) are refused here, by the parameter's old name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_plus

from engine import ErrorItem, Problem, ValidationFailed, is_public_id, not_found
from legacy_shim.shapes import LIST_PARAMETERS, Headers, Verb
from legacy_shim.words import ENABLE, TypeWords, Words

ACCOUNT_HEADER = b"x-account-id"
# What quoted text may hold in a query string without being read as something else.
_SAFE = "-_.~,:*()$!"
_ON = frozenset({"1", "true", "t", "yes", "y", "on", ""})
_OFF = frozenset({"0", "false", "f", "no", "n", "off"})
_MOST_DIGITS = 20


@dataclass(slots=True)
class Asked:
    """What a query string asks for.

    Attributes:
        path: Of the collection, below ``/v3/crud``; a list below a parent has the parent's in front.
        query: Parameters of the equivalent, percent-encoded, in order.
        search: Keys of the equivalent's body, where the call is a search.
        condition: Filter on fields of the type that the parameters mean, for a search.
        headers: Headers of the equivalent.
        places: Old names of parameters, by those of the equivalent.
        faults: What is wrong.
        enabled: The operand that `enable` is compared with unless the call itself speaks of it; None = none.
        is_trial: Nothing is to be written.
        is_nowhere: It names a parent that cannot exist.
    """

    path: str
    query: list[str] = field(default_factory=list)
    search: dict[str, object] = field(default_factory=dict)
    condition: dict[str, object] = field(default_factory=dict)
    headers: Headers = ()
    places: dict[str, str] = field(default_factory=dict)
    faults: list[ErrorItem] = field(default_factory=list)
    enabled: str | None = None
    is_trial: bool = False
    is_nowhere: bool = False

    @property
    def refusal(self) -> Problem | None:
        """What is wrong, as one problem."""
        if self.is_nowhere:
            return not_found()
        return ValidationFailed(errors=self.faults) if self.faults else None


def read_parameters(raw: bytes, words: TypeWords, everything: Words, account: bytes | None, verb: Verb) -> Asked:
    """Read the query string of an old call.

    Args:
        raw: As it came.
        words: Of the type.
        everything: Of all types.
        account: The header ``X-Account-Id`` that came with it.
        verb: A list or search takes all old parameters; those of a search go into its body.
    """
    asked = Asked(words.resource.name)
    is_list, is_search = verb in ("list", "search"), verb == "search"
    pairs = _split(raw)
    given = {name: value for name, value, _ in pairs if name is not None}
    names = [name for name, _, _ in pairs if name is not None]
    if len(given) < len(names):
        # V3 refuses what is given twice, by name; so it has to see it.
        asked.query = [part for _, _, part in pairs]
        return asked
    for name, value, part in pairs:
        if name == "x_account_id":
            _read_account(value, account, asked)
        elif name is None or not (is_list and name in LIST_PARAMETERS):
            asked.query.append(_with_names_today(name, value, part, words, everything, is_list=is_list))
            asked.is_trial |= name == "validate_only"
        elif name in ("limit", "offset"):
            _put(asked, name, value, _size(value), is_search=is_search)
    if is_list:
        _read_order(given, words, everything, asked, is_search=is_search)
        _read_parent(given, words, everything, asked, is_search=is_search)
        _read_enabled(given, words, asked, is_search=is_search)
    return asked


def _split(raw: bytes) -> list[tuple[str | None, str, str]]:
    """Name, value and raw text of each parameter; without a name where it cannot be decoded."""
    pairs: list[tuple[str | None, str, str]] = []
    for part in raw.decode("latin-1").split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        try:
            if not part.isascii():
                raise ValueError
            pairs.append((unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict"), part))
        except ValueError:
            pairs.append((None, "", part))
    return pairs


def _put(asked: Asked, name: str, text: str, value: object, *, is_search: bool) -> None:
    if is_search:
        asked.search[name] = value
    else:
        asked.query.append(f"{name}={quote(text, safe=_SAFE)}")


def _size(text: str) -> object:
    """An integer where it is one, the text where V3 shall refuse it."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return text
    # `-0` is no size in a query string of V3 either.
    return int(text[: _MOST_DIGITS + 1]) or (0 if text is digits else text)


def _with_names_today(
    name: str | None, value: str, part: str, words: TypeWords, everything: Words, *, is_list: bool
) -> str:
    """A parameter of V3, with the names of fields in it as they are today."""
    if name is None:
        return part
    if name == "fields" or (name == "sort" and is_list):
        marks = [(one[:1] if one[:1] == "-" else "", one.removeprefix("-")) for one in value.split(",")]
        today = ",".join(mark + everything.name_today(words, one) for mark, one in marks)
        return part if today == value else f"{name}={quote(today, safe=_SAFE)}"
    if not is_list:
        return part
    today = everything.name_today(words, name)
    return part if today == name else f"{quote(today, safe=_SAFE)}={part.partition('=')[2]}"


def _read_account(value: str, account: bytes | None, asked: Asked) -> None:
    wanted = value.encode("utf-8", "replace")
    if account is None:
        asked.headers = ((ACCOUNT_HEADER, wanted),)
        asked.places["X-Account-Id"] = "x_account_id"
    elif account != wanted:
        _refuse(asked, "x_account_id", "It names another account than the header X-Account-Id; give one of them.")


def _read_order(
    given: Mapping[str, str], words: TypeWords, everything: Words, asked: Asked, *, is_search: bool
) -> None:
    text = given.get("desc", "0").lower()
    if text not in _ON and text not in _OFF:
        _refuse(asked, "desc", f"{text[:80]!r} is neither 1 nor 0.")
    order = given.get("order_by")
    if not order:
        return
    mark = "-" if text in _ON else ""
    keys = [mark + everything.name_today(words, key.strip() or key) for key in order.split(",")]
    asked.places["sort"] = "order_by"
    _put(asked, "sort", ",".join(keys), keys, is_search=is_search)


def _read_parent(
    given: Mapping[str, str], words: TypeWords, everything: Words, asked: Asked, *, is_search: bool
) -> None:
    type_word, public_id = given.get("for_obj_type"), given.get("for_obj_id")
    if type_word is None and public_id is None:
        return
    if type_word is None or public_id is None:
        missing = "for_obj_type" if type_word is None else "for_obj_id"
        _refuse(asked, missing, "for_obj_type and for_obj_id are given together.", "required")
        return
    above = everything.find(type_word)
    name = type_word if above is None else above.resource.name
    for parent in words.resource.parents:
        if parent.type == name:
            # Another text could lead anywhere below the parent; V3 answers 404 to what cannot be an id.
            asked.is_nowhere = not is_public_id(public_id)
            asked.path = words.resource.name if asked.is_nowhere else f"{name}/{public_id}/{parent.segment}"
            return
    resource = words.resource
    fields = [one.field for one in resource.relations.values() if one.kind == "one" and one.target == name]
    # What belongs to an account may point at accounts besides.
    fields = [one for one in fields if resource.fields[one].role == "account"] or fields
    if len(fields) != 1:
        _refuse(asked, "for_obj_type", f"{type_word[:80]!r} is nothing that {resource.name} belongs to.")
        return
    asked.places[fields[0]] = "for_obj_id"
    if is_search:
        asked.condition[fields[0]] = {"eq": public_id}
    else:
        asked.query.append(f"{fields[0]}={quote(public_id, safe=_SAFE)}")


def _read_enabled(given: Mapping[str, str], words: TypeWords, asked: Asked, *, is_search: bool) -> None:
    switch = words.enable
    if switch is None:
        return
    wanted = given.get("enabled")
    if wanted is None and any(name == ENABLE or name.startswith(f"{ENABLE}.") for name in given):
        # The caller speaks of the field himself.
        return
    if wanted not in (None, "enabled", "disabled", "all"):
        _refuse(asked, "enabled", f"{wanted[:80]!r} is not one of enabled, disabled, all.", "not-in-enum")
        return
    if wanted == "all" or (wanted is None and not words.is_enable_filterable):
        return
    operand = switch[1] if wanted == "disabled" else switch[0]
    if not is_search:
        asked.query.append(f"{ENABLE}={operand}")
    elif wanted is None:
        asked.enabled = operand
    else:
        asked.condition[ENABLE] = {"eq": _SWITCH_VALUES[operand]}


_SWITCH_VALUES: dict[str, object] = {"true": True, "false": False, "1": 1, "0": 0}


def switch_value(operand: str) -> object:
    """The operand of `enable` as JSON."""
    return _SWITCH_VALUES[operand]


def _refuse(asked: Asked, parameter: str, detail: str, code: str = "bad-operand") -> None:
    asked.faults.append(ErrorItem(code, detail, parameter=parameter))
