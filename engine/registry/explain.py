"""A page for each code of a finding: what it means, why it matters, and the way out. One row per code.

`aether explain R101` prints a page, and a test holds the pages against the codes that
the engine's files report, those of plug-ins among them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """What a code means.

    Attributes:
        title: A short noun phrase.
        text: Some sentences.
        wrong, right: What is refused, and what is meant, as YAML; may be empty.
    """

    title: str
    text: str
    wrong: str = ""
    right: str = ""


def explain(code: str) -> str:
    """The page of a code, for a terminal.

    Raises:
        LookupError: There is no such code; the message names the nearest.
    """
    page = PAGES.get(code.strip().upper())
    if page is None:
        close = difflib.get_close_matches(code.strip().upper(), PAGES, n=3)
        raise LookupError(f"There is no code {code!r}; did you mean {', '.join(close or ('R101',))}?")
    parts = [f"{code.strip().upper()}: {page.title}", page.text]
    if page.wrong:
        parts.append(f"Refused:\n\n{_indent(page.wrong)}")
    if page.right:
        parts.append(f"Instead:\n\n{_indent(page.right)}")
    return "\n\n".join(parts) + "\n"


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))


PAGES: Mapping[str, Page] = {
    # ---------------------------------------------------------------- keys and syntax
    "R100": Page(
        "a file cannot be read",
        "The registry file or one that it includes is missing, is not readable, or is not UTF-8. "
        "AETHER_REGISTRY names the registry file.",
    ),
    "R101": Page(
        "unknown key",
        "The grammar has no such key here. A key is never passed over in silence: a misspelt `hidden` would "
        "show what it should hide.",
        wrong='dispaly: "{title}"',
        right='display: "{title}"',
    ),
    "R102": Page(
        "missing key",
        "Something cannot be left out here: `version` of the file, `table` and `account` of a type, `type` of "
        "a field that no column describes, the reason of a shared type.",
        wrong="journal: {table: journal}",
        right="journal: {table: journal, account: own}",
    ),
    "R103": Page(
        "another kind of value expected",
        "A text, number, list or mapping stands where another kind belongs; or a key stands there without a "
        "value. Scalars are those of YAML 1.2: `yes`, `no`, `on` and dates are text.",
        wrong="required: yes",
        right="required: true",
    ),
    "R104": Page(
        "not YAML",
        "The file breaks YAML's syntax, is nested too deeply, holds a second document, or has a key that is "
        "not plain text. Nothing after such a place can be read.",
    ),
    "R105": Page(
        "duplicate key",
        "A mapping says the same key twice. Most readers keep the last one silently; here neither is.",
    ),
    "R106": Page(
        "anchor, alias, merge key or tag",
        "The file is read as plain data, so that what stands in a place is what counts there.",
        wrong="<<: *defaults",
        right="title: Journal",
    ),
    "R107": Page(
        "value not allowed",
        "The key takes one of a few values, or a value of a certain form or size.",
    ),
    "R108": Page(
        "unknown field type",
        "Field types are: string(n) text integer bigint decimal(p,s) float boolean date time datetime json "
        "uuid email uri binary. With `ref` or `enum` the type is left out.",
        wrong="type: varchar(20)",
        right="type: string(20)",
    ),
    "R109": Page(
        "include names no file",
        "Patterns of `include` begin at the folder of the registry file. Included files hold `types` and "
        "`roles`, and include nothing themselves.",
    ),
    "R110": Page(
        "declared twice",
        "A type or role stands in two files.",
    ),
    "R111": Page(
        "words that contradict each other",
        "Each word is right alone, but not together: `min` above `max`, a `computed` field with a `default`, "
        "a type of two accounts.",
        wrong="a: {type: integer, min: 9, max: 0}",
    ),
    "R112": Page(
        "default or bound outside the field's values",
        "A default must be a value that the field takes, a bound one that its kind can compare. Decimals, "
        "dates and times are text, in quotes. Defaults that depend on the call are functions in "
        "resources/<type>.py: `default_<field>(caller, values)`.",
        wrong='paid: {type: "decimal(9,2)", default: 0.5}',
        right='paid: {type: "decimal(9,2)", default: "0.50"}',
    ),
    "R113": Page(
        "pattern is no regular expression",
        "`pattern` is looked for anywhere in the text; anchor it with ^ and $. It should mean the same in "
        "Python and JavaScript, since the schema documents show it.",
    ),
    # ---------------------------------------------------------------- references
    "R201": Page(
        "unknown type",
        "`parent`, `ref` or `auth.user` names a type that no file declares.",
    ),
    "R202": Page(
        "unknown field",
        "A name in display, search, sort, list, groups, unique, indexes or file is no field of the type. "
        "Fields are those declared, the columns of its table, and the engine's own: id, account_id, parents' "
        "ids, created_on, updated_on.",
    ),
    "R203": Page(
        "parents in a ring",
        "A type would be nested under itself, so no path to it ends. A tree of one type is made by a plain `ref`.",
        wrong="folder: {parent: folder}",
        right="fields: {folder_id: {ref: folder, reverse: folders}}",
    ),
    "R204": Page(
        "inherited account without a parent",
        "`account: inherited` takes the account of the parent's row.",
    ),
    "R205": Page(
        "several account types",
        "One type's rows are the accounts; the others belong to them.",
    ),
    "R206": Page(
        "parents' fields disagree",
        "Each parent has an id field of its own, which points at that parent.",
    ),
    "R207": Page(
        "search does not fit the field",
        "`search` names operators of the field's type, on fields that can be compared: not secret, hidden, "
        "computed or binary ones.",
        wrong="search: {born: [icontains]}",
        right="search: {born: range}",
    ),
    "R208": Page(
        "field cannot be used so",
        "Hidden and secret fields are not shown; text, json and strings over 255 characters are neither "
        "sorted nor indexed; a look-up needs `icontains`.",
    ),
    "R209": Page(
        "no account type",
        "Types are `own` or `inherited`, but no type says `account: self`.",
    ),
    "R210": Page(
        "nothing to inherit",
        "A parent without an account gives none to its children.",
    ),
    "R211": Page(
        "file fields do not fit",
        "`file` names a text digest, type and name and a whole-number size; `resolves_to` names the id of a "
        "type that has `file`.",
    ),
    "R212": Page(
        "filter does not hold",
        "Row rules, `where` and `public` are filters of the search language: mappings of fields to "
        "conditions, with and, or, not.",
        wrong="rows: {viewer: [public]}",
        right="rows: {viewer: {visibility: public}}",
    ),
    # ---------------------------------------------------------------- the database
    "R301": Page(
        "no such table",
        "The table does not exist, and the type declares no fields of which one could be made.",
    ),
    "R302": Page(
        "no such column",
        "The table exists without the column. `aether migrate` adds it; where the column has another name, "
        "say `column:`.",
        right="fields: {title: {column: Title}}",
    ),
    "R303": Page(
        "no public ids",
        "Rows are named by a random public id, since row ids never leave the server. `aether migrate` adds "
        "the column and fills it, and says so first.",
    ),
    "R304": Page(
        "no single integer key",
        "Rows need one integer key. `aether migrate` adds a unique `row_id` to a table; a view must have a "
        "column of the row id's name.",
    ),
    "R305": Page(
        "looser than the database",
        "The registry may tighten what the database says, never loosen it: a longer string, more digits, NULL "
        "where the column takes none, another enum value. Both places are shown.",
    ),
    "R306": Page(
        "another kind than the column",
        "The column cannot hold the declared kind of value, or is of a type that no field has. Without "
        "`type`, the field takes the column's.",
    ),
    "R307": Page(
        "no account column",
        "The type belongs to accounts by a column that its table lacks. Which row is whose cannot be guessed.",
    ),
    "R308": Page(
        "foreign key points elsewhere",
        "The database ties the column to another type than `ref` or `parent` says.",
    ),
    "R309": Page(
        "index too long",
        "MariaDB's indexes hold at most 3,072 bytes, and a character may take four.",
    ),
    "R310": Page(
        "a field that has no time zone",
        "`timezone` says which zone's clocks a found datetime column keeps. Fields of other kinds have none; "
        "MariaDB's TIMESTAMP and the columns that `aether migrate` makes are UTC, and cannot be anything else.",
        wrong="born_on: {type: date, timezone: Europe/Berlin}",
        right="met_at: {type: datetime, timezone: Europe/Berlin}",
    ),
    # ---------------------------------------------------------------- names and routes
    "R401": Page(
        "not a name",
        "Types, fields, segments and relations are snake_case: small letters, digits and single underscores, "
        "a letter first, at most 60 characters.",
        wrong="birthDate: {}",
        right="birth_date: {column: birthDate}",
    ),
    "R402": Page(
        "reserved name",
        "The word means something in the API's paths or in the search language. Types and segments: search "
        "schema options bulk upsert export restore move history batch meta action list. Fields: and or not "
        "any all none count null.",
    ),
    "R403": Page(
        "two children under one segment",
        "Two types would be served under the same path of a parent.",
    ),
    "R404": Page(
        "name taken",
        "A relation is called like a field, or like another relation of the type.",
    ),
    "R405": Page(
        "old name taken",
        "V1 and V2 must be able to tell by the name which type is meant.",
    ),
    "R406": Page(
        "id field without _id",
        "`<relation>_id` is the id, `<relation>` what it points at.",
        wrong="owner: {ref: person}",
        right="owner_id: {ref: person}",
    ),
    "R407": Page(
        "the engine's own field",
        "id, account_id, created_on and updated_on are written by the engine. A registry may say how they "
        "look, not what they are.",
    ),
    "R408": Page(
        "two fields, one column",
        "Two names for one column would be two ways to write it.",
    ),
    # ---------------------------------------------------------------- rights
    "R501": Page(
        "not a scope",
        "Scopes are <type>:<verb> with the verbs read, create, update, delete, delete_hard, write or *; the "
        "type may be *; action:<name> and meta:<name> are named by themselves.",
    ),
    "R502": Page(
        "row rule of an unknown role",
        "A rule for a role that nobody can have would protect nothing.",
    ),
    "R503": Page(
        "public without a filter",
        "Rows of an account are not everybody's: `public` says which of them are.",
        wrong="public: read",
        right="public: {read: {status: published}}",
    ),
    "R504": Page(
        "neither role nor scope",
        "`read` and `write` of a field take a role of this file, or a scope.",
    ),
    "R505": Page(
        "sign-in does not fit",
        "`auth` names the field that people sign in with, the one with `password: true`, and a json list of their "
        "roles. Roles are rights: a field that everybody who may change a user can write would give them away.",
        wrong="auth: {user: user, roles: roles}   # roles: {type: json}",
        right='roles: {type: json, items: string, write: "meta:roles"}',
    ),
    # ---------------------------------------------------------------- plug-ins
    "R601": Page(
        "plug-in does not fit",
        "A file of `resources/` or `actions/` cannot be imported, or says something that nothing calls: a function "
        "for a field that is not `computed`, a misspelt hook, a `computed` field without its function.",
    ),
    "R602": Page(
        "action cannot be served",
        "Its name, method, path or scope is none, or the function's parameters do not match the path.",
    ),
    "R603": Page("action claimed twice", "Two actions have one name, or answer one method and path."),
    "R604": Page(
        "action without a scope",
        "An action says who may call it: nothing is open, or closed, because somebody forgot to say so. "
        '`scope="default"` is action:<its name>, `scope=None` is for everybody, a login for example.',
    ),
    "N601": Page(
        "action left out",
        "The action belongs to a type that this registry does not declare, so it is not served.",
    ),
    # ---------------------------------------------------------------- advice
    "W101": Page(
        "feature to come",
        "The grammar knows the key, but what it promises does not exist yet.",
    ),
    "W102": Page(
        "field called like a query parameter",
        "In a query string the word is the parameter. `filter=` and searches still reach the field.",
    ),
    "W103": Page(
        "searchable without an index",
        "Each such search reads all rows of the account. The notes have the DDL. Of tables that `aether migrate` made "
        "nothing is said: `indexes` decides there.",
    ),
    "W104": Page(
        "account not decided",
        "`aether introspect` cannot know whose rows a table holds, and writes `none`.",
    ),
    "W105": Page(
        "child without its parent's row rules",
        "Rules of a parent hide its children by path only: flat lists and searches follow the child's own.",
    ),
    "W106": Page(
        "no account column on an inherited type",
        "Each list is joined with the parents to find the account: hundreds of milliseconds where the column "
        "takes less than one.",
    ),
    "W108": Page(
        "column left out",
        "Its name as the wire writes it is taken.",
    ),
    "W109": Page(
        "column that nothing fills",
        "It takes no NULL and has no default, and no caller may give it.",
    ),
    "W111": Page(
        "column of an unknown type",
        "No field kind fits GEOMETRY, SET and the like, so the column is left out.",
    ),
    "W112": Page(
        "column that looks like a secret",
        "Every column of a table is a field unless the registry hides it.",
    ),
    "W202": Page(
        "cannot be told without the database",
        "The name is no declared field. It may be a column: `aether check --db` looks.",
    ),
}
