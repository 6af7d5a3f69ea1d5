"""Sign-ins as they are kept: who signed in, and the one refresh token of each that holds.

A refresh token is ``<family>.<what all tokens of the sign-in share>.<what only this one has>``; of the two secrets the
SHA-256 is stored. So a token that was exchanged already is known for what it is for as long as the sign-in is
remembered, and one row is enough. Everything is looked up in the database each time: a sign-in that was revoked, a user
who is disabled or gone, and a password that was changed by whatever hand, are seen by every process. Passwords and
limits are `auth/sign_in.py`'s business; how long a caller is remembered is `auth/gate.py`'s.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from engine.auth.gather import Gather
from engine.auth.moments import read_moment, store_moment
from engine.auth.people import as_text, is_disabled
from engine.io.storage import Database, Dialect, Row, Rows, Transaction
from engine.language.ids import PUBLIC_ID_LENGTH, new_public_id
from engine.principal import Account
from engine.registry.kinds import KINDS
from engine.registry.resource import Registry, Resource
from engine.registry.sign_in import SignInFields
from engine.sql.sessions import (
    NEW_COLUMNS,
    SESSION_COLUMNS,
    delete_ended,
    insert_session,
    select_network,
    select_sessions,
    update_marks,
    update_revoked,
    update_token,
)
from engine.sql.statement import Statement
from engine.sql.users import (
    PERSON_COLUMNS,
    PersonSource,
    person_source,
    select_people,
    update_password,
    update_sign_in,
)

FAMILY_BYTES, TURN_BYTES = 24, 32
MAX_TOKEN = 200
MOST_PEOPLE = 8
"""How many people of one name are looked at: it may be used in several accounts."""
REMEMBERED_S = 90 * 86_400
"""How long an ended sign-in still says that its device and address are known."""
_NOBODY = 0

_PART = "[A-Za-z0-9_-]"
_TOKEN = re.compile(rf"({_PART}{{{PUBLIC_ID_LENGTH}}})\.({_PART}{{20,64}})\.({_PART}{{20,64}})")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in.

    Attributes:
        login: The name as it is stored.
        password: The stored hash; None where there is none.
        roles: As they are now.
        account: Whose user it is; None where people belong to no account.
        is_active: Neither disabled nor deleted, nor of an account that is gone.
    """

    row_id: int
    public_id: str
    login: str
    password: str | None = field(repr=False)
    roles: tuple[str, ...]
    account: Account | None
    is_active: bool

    @property
    def password_mark(self) -> str:
        """What a sign-in remembers of the password, so that it ends when that changes."""
        return hash_part(self.password or "")


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in.

    Attributes:
        family: Its public id.
        is_good: It was not revoked, and its user is active and has the password that he had.
    """

    family: str
    family_hash: str = field(repr=False)
    token_hash: str = field(repr=False)
    expires_on: datetime
    is_good: bool
    is_revoked: bool
    person: Person


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token, taken apart."""

    family: str
    shared: str = field(repr=False)
    turn: str = field(repr=False)

    def is_of(self, session: Session) -> bool:
        """Whether it is, or was, a token of a sign-in."""
        return hmac.compare_digest(hash_part(self.shared), session.family_hash)

    def is_present(self, session: Session) -> bool:
        """Whether it is the one that holds."""
        return hmac.compare_digest(hash_part(self.turn), session.token_hash)

    def __str__(self) -> str:
        return f"{self.family}.{self.shared}.{self.turn}"


class Sessions:
    """The sign-ins of one registry.

    Args:
        registry: It names the user type, the account type and the fields of a sign-in.
        database: Where the rows are.
        now: Unix time, seconds.
    """

    def __init__(self, registry: Registry, database: Database, *, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        self._people = _prepare(registry, database.dialect)
        self._found = Gather(self._fetch_sessions)

    @property
    def has_people(self) -> bool:
        """Whether there is anybody who could sign in."""
        return self._people is not None

    async def find_people(self, login: str, account_id: str | None = None) -> list[Person]:
        """The people who sign in with a name, oldest first; at most `MOST_PEOPLE`.

        Args:
            login: As it was typed. It is found as it is stored, or stored in lower case; never by a collation's idea
                of what is equal.
            account_id: Public id of the account that they must be of; None = any.
        """
        if self._people is None:
            return []
        statement = self._people.by_login if account_id is None else self._people.by_login_in_account
        values = {"login": login, "folded": login.lower(), "account": account_id}
        rows = await self._database.fetch(statement.text, statement.arrange(values), point=True)
        people = [_read_person(row, self._people) for row in rows]
        return [one for one in people if one.login in (login, login.lower())]

    async def find(self, family: str) -> Session | None:
        """A sign-in by its public id; None where there is none, or its user is gone for good."""
        if self._people is None:
            return None
        row = next((row for row in await self._found.rows_of((family,)) if row[0] == family), None)
        if row is None:
            return None
        cells = dict(zip(SESSION_COLUMNS, row, strict=False))
        person = _read_person(row[len(SESSION_COLUMNS) :], self._people)
        is_revoked = cells["revoked_on"] is not None
        has_his_password = hmac.compare_digest(str(cells["password_mark"]), person.password_mark)
        return Session(
            family=family,
            family_hash=str(cells["family_hash"]),
            token_hash=str(cells["token_hash"]),
            expires_on=read_moment(cells["expires_on"]) or datetime.min.replace(tzinfo=UTC),
            is_good=person.is_active and has_his_password and not is_revoked,
            is_revoked=is_revoked,
            person=person,
        )

    async def begin(self, person: Person, network: str, *, lives_s: float, new_hash: str | None = None) -> RefreshToken:
        """Begin a sign-in, and forget those of the person that ended long ago.

        Args:
            person: Who has proved his password.
            network: The address that he comes from.
            lives_s: Seconds until it ends, unless it is refreshed.
            new_hash: A hash of the same password by newer parameters, to be stored instead.
        """
        dialect, now, people = self._database.dialect, self._now(), self._people
        if people is None:
            raise LookupError("nobody can sign in")
        token = RefreshToken(new_public_id(), secrets.token_urlsafe(FAMILY_BYTES), secrets.token_urlsafe(TURN_BYTES))

        async def work(transaction: Transaction) -> None:
            mark = person.password_mark
            if new_hash is not None:
                hashes = {"user": person.row_id, "old_hash": person.password, "new_hash": new_hash}
                if await transaction.execute(people.renew.text, people.renew.arrange(hashes)):
                    mark = hash_part(new_hash)
                    marks = {"user": person.row_id, "old_mark": person.password_mark, "new_mark": mark}
                    go_on = update_marks(dialect)
                    await transaction.execute(go_on.text, go_on.arrange(marks))
            values = {
                "family": token.family,
                "family_hash": hash_part(token.shared),
                "token_hash": hash_part(token.turn),
                "user_id": person.row_id,
                "password_mark": mark,
                "network": hash_part(network),
                "created_on": store_moment(now, dialect),
                "expires_on": store_moment(now + lives_s, dialect),
            }
            insert = insert_session(dialect)
            await transaction.execute(
                insert.text, insert.arrange({f"new_{name}": values[name] for name in NEW_COLUMNS})
            )
            if people.record is not None:
                recorded = {"user": person.row_id, "moment": people.bind_moment(now)}
                await transaction.execute(people.record.text, people.record.arrange(recorded))
            forget = delete_ended(dialect)
            ended = {"user": person.row_id, "before": store_moment(now - REMEMBERED_S, dialect)}
            await transaction.execute(forget.text, forget.arrange(ended))

        await self._database.run(work)
        return token

    async def exchange(self, token: RefreshToken, *, lives_s: float) -> RefreshToken | None:
        """Put a new token in the place of the present one; None where another exchange was quicker, or it is revoked.

        One statement decides it, so of several at once exactly one succeeds.
        """
        dialect, now = self._database.dialect, self._now()
        successor = RefreshToken(token.family, token.shared, secrets.token_urlsafe(TURN_BYTES))
        statement = update_token(dialect)
        values = {
            "family": token.family,
            "old_hash": hash_part(token.turn),
            "new_hash": hash_part(successor.turn),
            "moment": store_moment(now, dialect),
            "expires": store_moment(now + lives_s, dialect),
        }
        done = await self._database.execute(statement.text, statement.arrange(values))
        return successor if done else None

    async def revoke(self, family: str) -> bool:
        """End a sign-in. Every process refuses its tokens within 5 s. Whether it was not ended already."""
        dialect = self._database.dialect
        statement = update_revoked(dialect)
        values = {"family": family, "moment": store_moment(self._now(), dialect)}
        return await self._database.execute(statement.text, statement.arrange(values)) > 0

    async def have_come_from(self, people: Sequence[Person], network: str) -> bool:
        """Whether one of some people has signed in from an address before."""
        statement = select_network(self._database.dialect, MOST_PEOPLE)
        padded = [*(person.row_id for person in people), *[_NOBODY] * MOST_PEOPLE][:MOST_PEOPLE]
        values = {f"user{index}": row_id for index, row_id in enumerate(padded)}
        binds = statement.arrange({**values, "network": hash_part(network)})
        return bool(await self._database.fetch(statement.text, binds, point=True))

    # ------------------------------------------------------------ private

    async def _fetch_sessions(self, families: Sequence[str]) -> Rows:
        if self._people is None:
            return ()
        width = 1 << (len(families) - 1).bit_length()
        statement = self._people.by_session.get(width)
        if statement is None:
            statement = select_sessions(self._people.source, width, self._database.dialect)
            self._people.by_session[width] = statement
        values = {f"family{index}": families[min(index, len(families) - 1)] for index in range(width)}
        return await self._database.fetch(statement.text, statement.arrange(values), point=len(families) == 1)


def read_token(text: str) -> RefreshToken | None:
    """Take a refresh token apart; None where it cannot be one."""
    match = _TOKEN.fullmatch(text) if len(text) <= MAX_TOKEN else None
    return None if match is None else RefreshToken(match[1], match[2], match[3])


def hash_part(secret: str) -> str:
    """What is stored of a secret: its SHA-256, hexadecimal. Ours have 192 random bits and more."""
    return hashlib.sha256(secret.encode("utf-8", "backslashreplace")).hexdigest()


# ---------------------------------------------------------------- private


@dataclass(frozen=True, slots=True)
class _People:
    """Who may sign in, as statements."""

    user: Resource
    fields: SignInFields
    dialect: Dialect
    by_login: Statement
    by_login_in_account: Statement
    source: PersonSource
    by_session: dict[int, Statement]
    renew: Statement
    record: Statement | None

    def bind_moment(self, now: float) -> object:
        """A moment as the field for the last sign-in takes it."""
        moment = datetime.fromtimestamp(now, UTC).replace(tzinfo=None)
        return KINDS["datetime"].bind[self.dialect](moment, self.user.fields[str(self.fields.last_login)])


def _prepare(registry: Registry, dialect: Dialect) -> _People | None:
    user, fields = registry.types.get(registry.user_type or ""), registry.sign_in
    if user is None or fields is None:
        return None
    source = person_source(user, fields, registry.types.get(registry.account_type or ""))
    if source is None:
        return None
    return _People(
        user,
        fields,
        dialect,
        select_people(source, user, dialect, most=MOST_PEOPLE, in_account=False),
        select_people(source, user, dialect, most=MOST_PEOPLE, in_account=True),
        source,
        {},
        update_password(user, fields, dialect),
        update_sign_in(user, fields, dialect),
    )


def _read_person(row: Row, people: _People) -> Person:
    cells = dict(zip(PERSON_COLUMNS, row, strict=True))
    account = None
    if cells["account_id"] is not None:
        account = Account(int(cells["account_row_id"]), as_text(cells["account_id"]))
    is_of_one = account is not None or people.user.account.kind != "own"
    return Person(
        row_id=int(cells["row_id"]),
        public_id=as_text(cells["public_id"]),
        login=_text(cells["login"]) or "",
        password=_text(cells["password"]),
        roles=_read_roles(cells["roles"], people.fields),
        account=account,
        is_active=cells["deleted"] is None and not is_disabled(cells["enable"]) and is_of_one,
    )


def _read_roles(stored: object, fields: SignInFields) -> tuple[str, ...]:
    """What is stored; NULL is the default, and what is no list of texts gives nothing."""
    try:
        value = orjson.loads(stored) if isinstance(stored, str | bytes) else stored
    except ValueError:
        return ()
    if value is None:
        return fields.default_roles
    return tuple(sorted({role for role in value if isinstance(role, str)})) if isinstance(value, list) else ()


def _text(stored: object) -> str | None:
    if stored is None:
        return None
    return stored.decode("utf-8", "replace") if isinstance(stored, bytes) else str(stored)
