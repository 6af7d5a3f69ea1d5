"""The grammar of a registry file: these models are its only definition.

A model holds the long form of everything. Where the file may say it shorter, the
field or model carries a `Short`, which makes the long form of it before validation,
so that no union is left and a fault's location is a path of the file. The editor's
schema is made from the same models. What the words mean together is checked in
`checks.py`, what they make is built in `build.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from engine.registry.names import NAME_PATTERN
from engine.registry.resource import ColumnNames, OnDelete

EVERY = "*"
# The table of a type that does not say its table, so that the rest of it can be checked all the same.
NO_TABLE = "?"
ACCOUNT_COLUMN = ColumnNames().account

Filter = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Short:
    """A shorter way to write something.

    Attributes:
        expand: Makes the long form; leaves alone what it does not know.
        schemas: JSON Schemas of the short forms, for editors.
        takes_item: Whether one item stands for a list of it.
    """

    expand: Callable[[Any], Any]
    schemas: tuple[dict[str, Any], ...]
    takes_item: bool = False

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The long form beside the short ones."""
        long = handler(core)
        items = [long["items"]] if self.takes_item else []
        return {"anyOf": [*self.schemas, *items, long]}


_SCALE = re.compile(r"^\s*[0-9]+\)$")
_TEXT: dict[str, Any] = {"type": "string"}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}


def _wrap(key: str) -> Callable[[Any], Any]:
    return lambda value: {key: value} if isinstance(value, str) else value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, (str, dict)) else value


def _as_fields(value: Any) -> Any:
    return {"fields": value} if isinstance(value, list) else {"fields": [value]} if isinstance(value, str) else value


def _as_account(value: Any) -> Any:
    forms: dict[str, Any] = {"self": {"self": True}, "inherited": {"inherited": True}, "own": {"own": ACCOUNT_COLUMN}}
    return forms.get(value, {"none": ""} if value == "none" else value) if isinstance(value, str) else value


def _as_words(value: Any) -> Any:
    return [EVERY] if value is True else [value] if isinstance(value, str) else value


def _as_search(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: [EVERY] for name in value}
    return value


def _as_whole_type(value: Any) -> Any:
    """Inside braces YAML splits `{type: decimal(9,2)}` at the comma, into a text and a key that says nothing."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return value
    rest = next((key for key, one in value.items() if one is None and _SCALE.fullmatch(key)), None)
    if rest is None or ")" in value["type"]:
        return value
    return {key: f"{one},{rest}" if key == "type" else one for key, one in value.items() if key != rest}


def _as_enum(value: Any) -> Any:
    is_short = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return {one: {} for one in value} if is_short else value


class Model(BaseModel):
    """What all parts of the grammar have in common."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    short: ClassVar[Short | None] = None

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The long form beside the short ones."""
        schema = handler.resolve_ref_schema(handler(core))
        schema.pop("title", None)
        return {"anyOf": [*cls.short.schemas, schema]} if cls.short else schema


Name = Annotated[str, Field(json_schema_extra={"pattern": NAME_PATTERN})]


# ---------------------------------------------------------------- fields


class EnumValueDeclaration(Model):
    """One value of an enum."""

    short = Short(_wrap("title"), (_TEXT,))

    title: str | None = None
    color: str | None = None


class FieldDeclaration(Model):
    """One field, by its wire name."""

    model_config = ConfigDict(json_schema_extra={"patternProperties": {_SCALE.pattern: {"type": "null"}}})

    short = Short(_as_whole_type, ())

    type: str | None = Field(
        default=None,
        description="string(n) text integer bigint decimal(p,s) float boolean date time datetime json uuid email uri "
        "binary; left out where the table has the column, and with ref or enum.",
    )
    title: str | None = Field(default=None, description="Label in forms and lists; made of the name when left out.")
    help: str | None = Field(default=None, description="A sentence beside the field in forms.")
    placeholder: str | None = None
    widget: str | None = Field(default=None, description="What a form draws: textarea select radio …")
    ui: dict[str, Any] | None = Field(default=None, description="Options for form libraries, passed on as they are.")
    default: Any = Field(default=None, description="Value of a create that leaves the field out.")
    required: bool | None = Field(default=None, description="A create must give it.")
    nullable: bool | None = None
    readonly: bool | None = Field(default=None, description="Never taken from outside.")
    create_only: bool | None = Field(default=None, description="Given by a create, never changed.")
    hidden: bool | None = Field(default=None, description="Never leaves the server and is never taken from outside.")
    secret: bool | None = Field(default=None, description="Writable, never readable.")
    password: bool | None = Field(default=None, description="A secret that is stored as argon2id.")
    heavy: bool | None = Field(default=None, description="Left out of replies that do not ask for it.")
    computed: bool | None = Field(default=None, description="Made by a function in resources/<type>.py.")
    sortable: bool | None = None
    regex: bool | None = None
    min: Any = None
    max: Any = None
    min_length: Annotated[int, Field(ge=0)] | None = None
    max_length: Annotated[int, Field(ge=0)] | None = None
    pattern: str | None = Field(default=None, description="A regular expression, looked for anywhere in the text.")
    enum: Annotated[dict[str, EnumValueDeclaration], Short(_as_enum, (_TEXTS,))] | None = None
    items: Literal["string"] | None = Field(default=None, description="A json field that is a list of texts.")
    ref: str | None = Field(default=None, description="The type that this id points at.")
    reverse: Name | None = Field(default=None, description="The other side's name for the rows that point at it.")
    where: Filter | None = Field(default=None, description="A filter on what a picker offers.")
    unique: bool | None = None
    index: bool | None = None
    column: str | None = Field(default=None, description="The column's name, where it is not the field's.")
    timezone: str | None = Field(default=None, description="The zone whose clocks the found datetime column keeps.")
    read: str | None = Field(default=None, description="Scope or role that reading needs.")
    write: str | None = Field(default=None, description="Scope or role that writing needs.")
    examples: list[Any] | None = None
    deprecated: bool | None = None


# ---------------------------------------------------------------- types


class AccountDeclaration(Model):
    """How a type belongs to an account: exactly one of these."""

    short = Short(_as_account, ({"enum": ["self", "own", "inherited"]},))

    own: str | None = Field(default=None, description="The column with the account.")
    none: Annotated[str, Field(min_length=1)] | None = Field(default=None, description="Why the rows are everybody's.")
    inherited: Literal[True] | None = None
    self_: Literal[True] | None = Field(default=None, alias="self")


class ParentDeclaration(Model):
    """One type under which a type is nested."""

    short = Short(_wrap("type"), (_TEXT,))

    type: str
    field: Name | None = None
    segment: Name | None = None
    on_delete: OnDelete | None = None


class DisplayDeclaration(Model):
    """How an object is named to people."""

    short = Short(_wrap("title"), (_TEXT,))

    title: str
    subtitle: str | None = None
    lookup: list[str] | None = None


class GroupDeclaration(Model):
    """A group of fields in forms."""

    short = Short(_as_fields, (_TEXTS,))

    title: str | None = None
    fields: list[str]
    collapsed: bool = False


class IndexDeclaration(Model):
    """An index or unique constraint; a leading ``-`` makes a part descending."""

    short = Short(_as_fields, (_TEXT, _TEXTS))

    fields: Annotated[list[str], Field(min_length=1)]
    kind: Literal["btree", "fulltext"] = "btree"


class FileDeclaration(Model):
    """Which fields of a file type hold what."""

    digest: str
    size: str
    type: str
    name: str


class LegacySwitchesDeclaration(Model):
    """Which routes of V1 and V2 are switched off."""

    off: Annotated[list[str], Short(_as_list, (), takes_item=True)] = Field(
        default=[], description='Versions, doors and verbs that answer 410: v1, "v2:list", "/api:get".'
    )
    brownout: Annotated[list[str], Short(_as_list, (), takes_item=True)] = Field(
        default=[], description='The same for some minutes, in UTC: "*:55", "v1:9-17:0-4".'
    )


class LegacyDeclaration(LegacySwitchesDeclaration):
    """What V1 and V2 called a type, and what of them is switched off."""

    name: str | None = None
    fields: dict[str, str] = {}


class PublicDeclaration(Model):
    """What everybody may read, without credentials."""

    short = Short(lambda value: {"read": {}} if value == "read" else value, ({"const": "read"},))

    read: Filter


class PageDeclaration(Model):
    """Sizes of a list's pages."""

    limit: Annotated[int, Field(ge=0)] | None = None
    max: Annotated[int, Field(ge=1, le=10_000)] | None = None


Words = Annotated[list[str], Short(_as_words, ({"const": True}, _TEXT))]


class TypeDeclaration(Model):
    """One resource type."""

    table: str = Field(description="The table's name.")
    account: AccountDeclaration = Field(description="self, own, inherited, {own: column} or {none: reason}.")
    parent: Annotated[list[ParentDeclaration], Short(_as_list, (), takes_item=True)] | None = None
    title: str | None = None
    plural: str | None = None
    description: str | None = None
    icon: str | None = None
    display: DisplayDeclaration | None = None
    search: Annotated[dict[str, Words], Short(_as_search, (_TEXTS,))] | None = None
    sort: Annotated[list[str], Short(_as_list, (), takes_item=True)] | None = None
    list_: Annotated[list[str], Short(_as_list, (), takes_item=True)] | None = Field(default=None, alias="list")
    fields: dict[str, FieldDeclaration] = {}
    groups: dict[str, GroupDeclaration] | None = None
    ui: dict[str, Any] | None = None
    rows: dict[str, Filter] | None = Field(default=None, description="Role → the rows it sees, in the search grammar.")
    public: PublicDeclaration | None = None
    unique: list[IndexDeclaration] | None = None
    indexes: list[IndexDeclaration] | None = None
    soft_delete: (
        Annotated[str, Short(lambda value: "deleted_on" if value is True else value, ({"const": True},))] | None
    ) = None
    history: bool | None = None
    page: PageDeclaration | None = None
    if_match: Literal["required"] | None = None
    resolves_to: str | None = None
    file: FileDeclaration | None = None
    legacy: LegacyDeclaration | None = None


# ---------------------------------------------------------------- the file


class AuthDeclaration(Model):
    """Which type's rows are people, and how they sign in."""

    user: str
    require_user: bool = False
    login: str | None = Field(default=None, description="The field that people sign in with; `email` when left out.")
    password: str | None = Field(default=None, description="The field with `password: true`, where there are several.")
    roles: str | None = Field(default=None, description="A json field with a user's roles, which not all may write.")
    default_roles: list[str] = Field(default=[], description="Roles of users without any of their own.")


class IdsDeclaration(Model):
    """The columns of row ids and public ids."""

    row: str = "id"
    public: str = "id_random"


class TimestampsDeclaration(Model):
    """The columns of the timestamps."""

    created: str = "created_on"
    updated: str = "updated_on"


class DefaultsDeclaration(Model):
    """What the engine's own columns are called, and how long pages are."""

    ids: IdsDeclaration = IdsDeclaration()
    timestamps: TimestampsDeclaration = TimestampsDeclaration()
    version: str = "row_version"
    page: PageDeclaration = PageDeclaration()


class LimitsDeclaration(Model):
    """The published limits of a search."""

    depth: Annotated[int, Field(ge=1, le=50)] | None = None
    leaves: Annotated[int, Field(ge=1, le=5_000)] | None = None
    in_values: Annotated[int, Field(ge=1, le=10_000)] | None = None
    hops: Annotated[int, Field(ge=0, le=8)] | None = None
    expand_levels: Annotated[int, Field(ge=0, le=8)] | None = None
    body_bytes: Annotated[int, Field(ge=1_024)] | None = None
    offset: Annotated[int, Field(ge=0)] | None = None


class IncludedFile(Model):
    """A file that another one includes."""

    version: Literal[1] = 1
    roles: dict[str, list[str]] = {}
    types: dict[str, TypeDeclaration] = {}


class RegistryFile(IncludedFile):
    """The registry file."""

    version: Literal[1]
    include: Annotated[list[str], Short(_as_list, (), takes_item=True)] = []
    auth: AuthDeclaration | None = None
    timezone: Annotated[str, Field(description="The zone whose clocks found datetime columns keep.")] = "UTC"
    defaults: DefaultsDeclaration = DefaultsDeclaration()
    limits: LimitsDeclaration = LimitsDeclaration()
    legacy: LegacySwitchesDeclaration = LegacySwitchesDeclaration()
