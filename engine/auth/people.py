"""The rows behind a caller: the user that a token names, and the accounts that he claims.

They are read each time a caller is not remembered, past the id cache, since what that
remembers may be deleted by now. Whether a credential holds is `auth/tokens.py`'s and
`auth/keys.py`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from engine.auth.gather import MAX_WIDTH, Gather
from engine.auth.tokens import refuse
from engine.errors import Unauthenticated
from engine.io.storage import Database, Row, Rows
from engine.language.ids import is_public_id
from engine.principal import Account
from engine.registry.resource import Registry
from engine.sql.statement import Statement
from engine.sql.users import select_accounts, select_user, select_users

MAX_SEEN_USERS = 100_000
POINT_WIDTH = 4

_DISABLED: tuple[object, ...] = (0, b"\x00", b"0", "0")


class People:
    """Looks users and accounts up, for one registry.

    Args:
        registry: It names the user type and the account type, and says whether a user must have a row.
        database: Where the rows are.
    """

    __slots__ = (
        "_account",
        "_accounts",
        "_database",
        "_registry",
        "_seen_users",
        "_select_accounts",
        "_select_user",
        "_select_users",
        "_user",
        "_users",
    )

    def __init__(self, registry: Registry, database: Database) -> None:
        self._registry = registry
        self._database = database
        user = registry.types.get(registry.user_type) if registry.user_type else None
        self._user = user
        self._select_user = select_user(user, database.dialect) if user is not None else None
        self._select_users: dict[int, Statement | None] = {}
        self._users = Gather(self._fetch_users)
        self._accounts = Gather(self._fetch_accounts)
        self._account = registry.types.get(registry.account_type) if registry.account_type else None
        self._select_accounts: dict[int, Statement | None] = {}
        self._seen_users: set[str] = set()

    @property
    def has_accounts(self) -> bool:
        """Whether the registry has an account type."""
        return self._account is not None

    async def find_user(self, subject: str) -> int | None:
        """The row id of a token's user.

        Args:
            subject: ``sub`` of the token.

        Returns:
            The row id; None where a subject without a row is trusted.

        Raises:
            Unauthenticated: The user is disabled or deleted, or must have a row and has none.
        """
        row = None
        if self._select_user is not None and is_public_id(subject):
            rows = await self._users.rows_of((subject,))
            row = next((row for row in rows if as_text(row[1]) == subject), None)
        return self._judge(subject, row)

    async def find_users(self, subjects: Sequence[str]) -> dict[str, int | None]:
        """The row ids of several tokens' users, as `find_user` says them; whom that refuses is not among them."""
        rows: Rows = ()
        wanted = [subject for subject in dict.fromkeys(subjects) if is_public_id(subject)]
        if self._select_user is not None and wanted:
            rows = await self._users.rows_of(wanted)
        by_id = {as_text(row[1]): row for row in rows}
        found: dict[str, int | None] = {}
        for subject in subjects:
            with suppress(Unauthenticated):
                found[subject] = self._judge(subject, by_id.get(subject))
        return found

    def _judge(self, subject: str, row: Row | None) -> int | None:
        if row is None:
            # A row deleted for good is like one that never was, but to a process that has seen it.
            if self._registry.require_user or subject in self._seen_users:
                raise refuse()
            return None
        if len(self._seen_users) >= MAX_SEEN_USERS:
            self._seen_users.clear()
        self._seen_users.add(subject)
        row_id, _, enable, deleted = row
        if deleted is not None or is_disabled(enable):
            raise refuse()
        return int(row_id)

    async def find_accounts(self, public_ids: Sequence[str]) -> tuple[Account, ...]:
        """Those of some accounts that exist, in the order given; what is no public id exists as little."""
        found = await self.find_each_account(public_ids)
        return tuple(found[public_id] for public_id in public_ids if public_id in found)

    async def find_each_account(self, public_ids: Iterable[str]) -> dict[str, Account]:
        """Those of some accounts that exist, by public id."""
        wanted = [public_id for public_id in dict.fromkeys(public_ids) if is_public_id(public_id)]
        if self._account is None or not wanted:
            return {}
        rows: list[Row] = []
        for start in range(0, len(wanted), MAX_WIDTH):
            rows.extend(await self._accounts.rows_of(wanted[start : start + MAX_WIDTH]))
        found = ((as_text(public_id), int(row_id)) for row_id, public_id in rows)
        return {public_id: Account(row_id, public_id) for public_id, row_id in found}

    async def _fetch_accounts(self, wanted: Sequence[str]) -> Rows:
        if self._account is None:
            return ()
        width = 1 << (len(wanted) - 1).bit_length()
        if width not in self._select_accounts:
            self._select_accounts[width] = select_accounts(self._account, width, self._database.dialect)
        statement = self._select_accounts[width]
        if statement is None:
            return ()
        values = {f"account{index}": wanted[min(index, len(wanted) - 1)] for index in range(width)}
        return await self._database.fetch(statement.text, statement.arrange(values), point=width <= POINT_WIDTH)

    async def _fetch_users(self, wanted: Sequence[str]) -> Rows:
        if self._user is None or self._select_user is None:
            return ()
        if len(wanted) == 1:
            binds = self._select_user.arrange({"user": wanted[0]})
            return await self._database.fetch(self._select_user.text, binds, point=True)
        width = 1 << (len(wanted) - 1).bit_length()
        if width not in self._select_users:
            self._select_users[width] = select_users(self._user, width, self._database.dialect)
        statement = self._select_users[width]
        if statement is None:
            return ()
        values = {f"user{index}": wanted[min(index, len(wanted) - 1)] for index in range(width)}
        return await self._database.fetch(statement.text, statement.arrange(values))


def is_disabled(enable: object) -> bool:
    """Whether an `enable` column says no, in whatever way it stores that; NULL does not."""
    return enable in _DISABLED


def as_text(stored: object) -> str:
    """A stored public id; a binary column gives bytes."""
    return stored.decode("ascii", "replace") if isinstance(stored, bytes) else str(stored)
