"""What the actions of a sign-in are given: the desk at which people sign in, for the address that asks.

What happens there is `auth/sign_in.py`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request as HttpRequest

from engine.auth.sign_in import SignedIn, SignIn
from engine.http.fallback import request_of

__all__ = ["Desk", "SignInDesk", "SignedIn", "get_desk"]


@dataclass(frozen=True, slots=True)
class Desk:
    """Signs people in who come from one address."""

    sign_in: SignIn
    address: str

    async def login(
        self, name: str, password: str, *, account_id: str | None = None, known_by: str | None = None
    ) -> SignedIn:
        """Sign somebody in.

        Args:
            name: As it was typed.
            password: As it was typed.
            account_id: Public id of the account, where one name is used in several.
            known_by: A refresh token that he had before, though it has ended.

        Raises:
            Unauthenticated: Name and password are not somebody's who may sign in; nothing tells which was wrong.
            RateLimited: Too many attempts.
            Unavailable: Nobody can sign in here, or too many try at the moment.
        """
        return await self.sign_in.login(name, password, address=self.address, account_id=account_id, known_by=known_by)

    async def refresh(self, token: str) -> SignedIn:
        """Exchange a refresh token, which holds once, for new tokens.

        Raises:
            Unauthenticated: It does not hold. If it was exchanged before, its sign-in is ended.
            Unavailable: Nobody can sign in here.
        """
        return await self.sign_in.refresh(token)

    async def logout(self, token: str) -> None:
        """End the sign-in of a refresh token; one that is none ends nothing."""
        await self.sign_in.logout(token)


async def get_desk(request: HttpRequest) -> Desk:
    """The desk, for the address of this connection."""
    sign_in: SignIn = request.app.state.sign_in
    return Desk(sign_in, request_of(request).client)


SignInDesk = Annotated[Desk, Depends(get_desk)]
