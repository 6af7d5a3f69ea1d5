"""Filters as OpenAPI models: for each type one object with exactly the operators that each field takes.

Fields that are asked alike share their models: ``DateFilter`` is a field's value, list
or object of operators, ``DateOperators`` that object, ``DateValue`` an operand. Where a
field takes fewer operators than its family has, a short hash of the list is in the name.
Synonyms, dotted names and field operands are understood too; they are short forms of
what is here, or written in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from engine.documents.links import model_name
from engine.documents.openapi_shared import ID_VALUE, Json, model
from engine.operators import OPERATORS
from engine.plan.fields import FieldRefused, Gate
from engine.registry.families import DEFAULTS, FUNCTIONS
from engine.registry.kinds import KINDS
from engine.registry.parsing import ID_PATTERN, INTEGER_BITS, decimal_pattern
from engine.registry.resource import Field, Relation, Resource

MAX_IN = 1_000
WORDS = ("and", "or", "not")
COUNT_OPERATORS = ("eq", "ne", "lt", "lte", "gt", "gte", "in", "nin", "between")

_DAY_MACRO = r"^\$(today|week_start|month_start|year_start)(\(-?[0-9]{1,3}\))?$"
_TIME_MACRO = r"^\$(now|now\(-?[0-9]{1,3} (hours|days|weeks|months)\)|today|week_start|month_start|year_start)$"
_NULL: Json = {"type": "null"}
_SCALAR: Json = {"type": ["string", "number", "boolean"]}
_COUNT: Json = {"type": "integer", "minimum": -(2**63) + 1, "maximum": 2**63 - 1}
_INTEGER = Field(name="", column=None, kind="bigint")
_DATE = Field(name="", column=None, kind="date")
_TEXT = Field(name="", column=None, kind="string")
_AFTER = {"date": _DATE, "lower": _TEXT}


class FilterModels:
    """Makes filter models on demand, each once.

    Args:
        gate: Which fields and relations the caller may ask.
        schemas: The document's models; grows.
    """

    def __init__(self, gate: Gate, schemas: Json) -> None:
        self._gate = gate
        self._schemas = schemas
        schemas["NullCondition"] = {
            "title": "Whether there is a target",
            "type": "object",
            "required": ["null"],
            "additionalProperties": False,
            "properties": {"null": {"type": "boolean"}},
        }

    def type_filter(self, resource: Resource) -> str:
        """The name of a type's filter model; several keys are joined by AND."""
        name = f"{model_name(self._gate.registry, resource.name)}Filter"
        if name in self._schemas:
            return name
        own = model(name)
        some = {"type": "array", "items": own}
        properties: Json = {"and": some, "or": some, "not": own}
        self._schemas[name] = {
            "title": f"Filter of {resource.plural.lower()}",
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
        }
        for field_name in self._gate.usable(resource.name, "filter"):
            field = resource.fields[field_name]
            properties[field_name] = model(self.field_filter(resource, field, field.operators))
            for function in FUNCTIONS:
                made = self._function_filter(resource, field, function)
                if made is not None:
                    properties[f"{function}({field_name})"] = model(made)
        for relation_name in self._gate.relation_names(resource.name):
            if relation_name not in properties and self._gate.rights.may(_target(resource, relation_name), "read"):
                properties[relation_name] = self._relation(resource.relations[relation_name])
        return name

    def field_filter(self, resource: Resource, field: Field, operators: Sequence[str]) -> str:
        """The name of the model of what a field may be asked by these operators."""
        base = self._base(resource, field)
        family = KINDS[field.kind].family
        suffix = "" if tuple(operators) == DEFAULTS[family] else f"_{_hash(operators)}"
        name = f"{base}Filter{suffix}"
        if name in self._schemas:
            return name
        value = self.value_model(resource, field)
        asked = f"{base}Operators{suffix}"
        forms: list[Json] = [model(asked)]
        if "eq" in operators and field.kind != "json":
            forms.insert(0, model(value))
        if "in" in operators and field.kind != "json":
            forms.append(_list_of(model(value)))
        if "null" in operators:
            forms.append(_NULL)
        self._schemas[name] = {"anyOf": forms}
        again = model(name)
        properties: Json = {word: self._operand(word, model(value)) for word in operators}
        properties["and"] = properties["or"] = {"type": "array", "items": again}
        properties["not"] = again
        self._schemas[asked] = {"type": "object", "additionalProperties": False, "properties": properties}
        return name

    def value_model(self, resource: Resource, field: Field) -> str:
        """The name of the model of one operand of a field."""
        name = f"{self._base(resource, field)}Value"
        if name not in self._schemas:
            self._schemas[name] = _value(field)
        return name

    def _base(self, resource: Resource, field: Field) -> str:
        """What the models of all fields with the same operands begin with."""
        kind = field.kind
        if kind == "enum":
            # A line in the name: no type's model has one there.
            return f"{model_name(self._gate.registry, resource.name)}_{field.name}"
        if kind in INTEGER_BITS:
            sign = "Unsigned" if field.unsigned else ""
            return f"{sign}Integer{field.bits or INTEGER_BITS[kind]}"
        if kind == "decimal":
            return f"Decimal{field.precision or 18}_{2 if field.scale is None else field.scale}"
        return _BASES[kind]

    def _function_filter(self, resource: Resource, field: Field, function: str) -> str | None:
        if KINDS[field.kind].family not in FUNCTIONS[function]:
            return None
        try:
            self._gate.resolve(resource.name, f"{function}({field.name})", "filter")
        except FieldRefused:
            return None
        compared = _AFTER.get(function, _INTEGER)
        operators: Sequence[str] = DEFAULTS[KINDS[compared.kind].family]
        if function == "lower":
            operators = [word for word in operators if word in field.operators]
        return self.field_filter(resource, compared, operators) if operators else None

    def _relation(self, relation: Relation) -> Json:
        target = self._gate.registry.types[relation.target]
        # By name alone: every type that the caller reads has its filter made, and relations go round in circles.
        inner = model(f"{model_name(self._gate.registry, target.name)}Filter")
        if relation.kind == "one":
            return {"anyOf": [inner, model("NullCondition"), _NULL]}
        name = f"{model_name(self._gate.registry, target.name)}Relation"
        if name not in self._schemas:
            counted: Json = {"where": inner}
            for word in COUNT_OPERATORS:
                counted[word] = self._operand(word, _COUNT, is_count=True)
            quantified = {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": False,
                "properties": {
                    "any": inner,
                    "all": inner,
                    "none": inner,
                    "count": {
                        "anyOf": [
                            _COUNT,
                            {
                                "type": "object",
                                "additionalProperties": False,
                                "properties": counted,
                                "anyOf": [{"required": [word]} for word in COUNT_OPERATORS],
                            },
                        ]
                    },
                },
            }
            self._schemas[name] = {"anyOf": [quantified, inner]}
        return model(name)

    def _operand(self, word: str, value: Json, *, is_count: bool = False) -> Json:
        row = OPERATORS[word]
        summary = {} if is_count else {"description": row.summary}
        if row.operand == "flag":
            return {"type": "boolean", **summary}
        if row.operand == "list":
            return {**_list_of(value), **summary}
        if row.operand == "pair":
            return {"type": "array", "items": value, "minItems": 2, "maxItems": 2, **summary}
        if row.operand in ("text", "words"):
            return {"type": "string", **summary}
        if row.operand == "json":
            return {**self._json_operand(word), **summary}
        if word in ("eq", "ne") and not is_count:
            return {"anyOf": [value, _NULL], **summary} if word == "eq" else {**value, **summary}
        return {**value, **summary}

    def _json_operand(self, word: str) -> Json:
        if word == "has":
            return _SCALAR
        if word in ("has_any", "has_all"):
            return _list_of(_SCALAR)
        if word == "has_key":
            return {"type": "string"}
        if word == "length":
            return model(self._json_length())
        return {"type": "object", "additionalProperties": model(self._json_condition())}

    def _json_length(self) -> str:
        if "JsonLength" not in self._schemas:
            size = {"type": "integer", "minimum": 0, "maximum": 2**31}
            properties = dict.fromkeys(("eq", "lt", "lte", "gt", "gte"), size)
            asked = {"type": "object", "minProperties": 1, "additionalProperties": False, "properties": properties}
            self._schemas["JsonLength"] = {"title": "A length", "anyOf": [size, asked]}
        return "JsonLength"

    def _json_condition(self) -> str:
        """What may be asked at a path of a JSON field."""
        name = "JsonCondition"
        if name not in self._schemas:
            again = model(name)
            properties: Json = {"and": {"type": "array", "items": again}, "or": {"type": "array", "items": again}}
            properties["not"] = again
            self._schemas[name] = {
                "title": "What is asked at a path",
                "anyOf": [_SCALAR, _NULL, {"type": "object", "additionalProperties": False, "properties": properties}],
            }
            for word, row in OPERATORS.items():
                if word != "json":
                    properties[word] = self._operand(word, _SCALAR if row.operand != "text" else {"type": "string"})
        return name


_BASES = {
    "string": "Text",
    "text": "Text",
    "email": "Text",
    "uri": "Text",
    "uuid": "Uuid",
    "float": "Number",
    "boolean": "Boolean",
    "date": "Date",
    "datetime": "DateTime",
    "time": "Time",
    "json": "Json",
    "id": "Id",
    "relation": "Id",
    "binary": "Binary",
}


def _value(field: Field) -> Json:
    """One operand: what a body takes for the field, without its own bounds, and macros."""
    kind = field.kind
    if kind in ("string", "text", "email", "uri"):
        return {"type": "string"}
    if kind in ("id", "relation"):
        return {"anyOf": [ID_VALUE, {"type": "string", "enum": ["$current_user", "$current_account"]}]}
    if kind == "enum":
        return {"type": "string", "enum": [one.value for one in field.enum]}
    if kind == "decimal":
        return {"type": "string", "pattern": decimal_pattern(field)}
    if kind == "json":
        return {"description": "Any JSON."}
    plain = KINDS[kind].schema(
        Field(name="", column=None, kind=kind, unsigned=field.unsigned, bits=field.bits), "update"
    )
    plain["type"] = _first(plain.get("type"))
    if kind == "date":
        return {"anyOf": [plain, {"type": "string", "pattern": _DAY_MACRO}]}
    if kind == "datetime":
        day = KINDS["date"].schema(_DATE, "update")
        day["type"] = "string"
        return {"anyOf": [plain, day, {"type": "string", "pattern": _TIME_MACRO}]}
    return plain


def query_terms(resource: Resource, fields: Sequence[Field], models: FilterModels, taken: Sequence[str]) -> Json:
    """The field parameters of a GET list as one object that is exploded into parameters.

    Args:
        resource: The type.
        fields: Those that the caller may filter by.
        models: For the operands.
        taken: Parameters of the search itself, which a field cannot have for a name.
    """
    properties: Json = {}
    for field in fields:
        if field.name in taken:
            continue
        value = model(models.value_model(resource, field))
        for word in field.operators:
            schema = _term(field, word, value)
            if schema is not None:
                properties[field.name if word == "eq" else f"{field.name}.{word}"] = schema
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _term(field: Field, word: str, value: Json) -> Json | None:
    row = OPERATORS[word]
    if row.operand == "flag":
        return {"type": "string", "enum": ["true", "false"]}
    if row.operand in ("text", "words"):
        return {"type": "string"}
    if row.operand == "list":
        pattern = _list_pattern(field)
        return None if pattern is None else {"type": "string", **pattern}
    if row.operand == "value" and field.kind != "json":
        return value
    return None


def _list_pattern(field: Field) -> dict[str, str] | None:
    """What a list with commas looks like; None for kinds whose values no pattern tells."""
    family = KINDS[field.kind].family
    if family == "text" and field.kind != "uuid":
        return {}
    if family == "id":
        one = ID_PATTERN.strip("^$")
        return {"pattern": f"^{one}(,{one}){{0,99}}$"}
    return None


def _list_of(value: Json) -> Json:
    return {"type": "array", "items": value, "maxItems": MAX_IN}


def _target(resource: Resource, relation: str) -> str:
    return resource.relations[relation].target


def _hash(operators: Sequence[str]) -> str:
    return blake2b(" ".join(operators).encode(), digest_size=3).hexdigest()


def _first(kind: Any) -> Any:
    """A nullable type's own half."""
    return kind[0] if isinstance(kind, list) else kind
