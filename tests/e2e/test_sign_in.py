"""Signing in as people meet it: passwords, tokens that hold once, what ends a sign-in, and what is told to whom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.language.ids import new_public_id
from tests.support.attack import alike
from tests.support.people import PASSWORD, SHIPPED, Town, lighten, settled
from tests.support.serving import SECRET, Client, make_settings, running

ANN = "ann@north.example"
BEN = "ben@north.example"


@pytest.fixture
async def town(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    """The shipped registry with Ann in account a."""
    lighten(monkeypatch)
    async with settled(database_url) as made:
        await made.make_user(ANN)
        yield made


async def sees(client: Client) -> bool:
    """Whether a caller is known: he sees his account's users, or is a 401."""
    reply = await client.get("/v3/crud/user/")
    assert reply.status in (200, 401), reply
    return reply.status == 200


# ---------------------------------------------------------------- signing in


async def test_a_password_becomes_a_pair_of_tokens_which_nobody_may_keep(town: Town) -> None:
    reply = await town.login(ANN)
    assert reply.status == 200
    assert set(reply.data) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (reply.data["token_type"], reply.data["expires_in"]) == ("Bearer", 900)
    assert reply.header("cache-control") == "no-store"
    claims = jwt.decode(reply.data["access_token"], SECRET, ["HS256"])
    assert claims["sub"] == town.users[ANN]
    assert claims["accounts"] == [town.accounts["a"]]
    assert claims["roles"] == ["viewer"]
    assert claims["exp"] - claims["iat"] == 900
    listed = await town.bearing(reply).get("/v3/crud/user/")
    assert [one["email"] for one in listed.data] == [ANN]
    stored = str(await town.fetch("SELECT family_hash, token_hash, family FROM aether_refresh_token"))
    assert not any(part in stored for part in reply.data["refresh_token"].split(".")[1:])


async def test_the_time_of_a_sign_in_is_kept_and_seen_and_edits_nothing(town: Town) -> None:
    path = f"/v3/crud/user/{town.users[ANN]}"
    before = await town.operator().get(path)
    assert before.data["last_login_on"] is None
    await town.login(ANN)
    after = await town.operator().get(path)
    assert after.data["last_login_on"] is not None
    assert after.data["updated_on"] == before.data["updated_on"]
    assert after.header("etag") != before.header("etag")


async def test_a_name_is_found_in_any_case_and_by_no_other_likeness(town: Town) -> None:
    assert (await town.login("ANN@North.Example")).status == 200
    for name in (f"{ANN} ", f" {ANN}", "ánn@north.example", "%", "ann@north_example", "ann"):
        assert (await town.login(name, address="192.0.2.9")).status == 401, name


async def test_whoever_cannot_sign_in_gets_one_and_the_same_answer(town: Town) -> None:
    for name in ("disabled", "deleted", "unset", "foreign"):
        await town.make_user(f"{name}@x.example")
    await town.execute("UPDATE user SET enable = 0 WHERE email = ?", "disabled@x.example")
    await town.execute("UPDATE user SET password = NULL WHERE email = ?", "unset@x.example")
    await town.execute("UPDATE user SET password = 'plain' WHERE email = ?", "foreign@x.example")
    gone = await town.operator().send("DELETE", f"/v3/crud/user/{town.users['deleted@x.example']}")
    assert gone.status == 204
    expected = await town.login("nobody@x.example", "wrong")
    assert (expected.status, expected.header("www-authenticate")) == (401, "Bearer")
    for name, password in (
        (ANN, "wrong"), (ANN, PASSWORD.upper()), ("disabled@x.example", PASSWORD), ("deleted@x.example", PASSWORD),
        ("unset@x.example", PASSWORD), ("foreign@x.example", "plain"), ("nobody@x.example", PASSWORD),
    ):  # fmt: skip
        assert alike(await town.login(name, password)) == alike(expected), name


async def test_one_name_in_two_accounts_is_told_apart_by_its_password_or_by_the_account(town: Town) -> None:
    await town.make_user(ANN, "b", password="another password")
    for password, letter in ((PASSWORD, "a"), ("another password", "b")):
        reply = await town.login(ANN, password)
        assert jwt.decode(reply.data["access_token"], SECRET, ["HS256"])["accounts"] == [town.accounts[letter]]
    assert (await town.login(ANN, PASSWORD, account_id=town.accounts["b"])).status == 401
    await town.operator().send("PATCH", f"/v3/crud/user/{town.users[ANN]}", {"password": PASSWORD})
    for more, letter in (({}, "a"), ({"account_id": town.accounts["b"]}, "b")):
        reply = await town.login(ANN, **more)
        assert jwt.decode(reply.data["access_token"], SECRET, ["HS256"])["accounts"] == [town.accounts[letter]]
    assert (await town.login(ANN, account_id="no_account_12")).status == 401


async def test_what_a_hash_was_made_with_is_renewed_and_other_sign_ins_go_on(town: Town) -> None:
    first = await town.login(ANN)
    old = PasswordHasher(time_cost=2, memory_cost=64, parallelism=1).hash(PASSWORD)
    await town.execute("UPDATE user SET password = ? WHERE email = ?", old, ANN)
    second, third = await town.login(ANN), await town.login(ANN)
    ((stored,),) = await town.fetch("SELECT password FROM user WHERE email = ?", ANN)
    assert (second.status, third.status) == (200, 200)
    assert "t=1," in stored
    assert await sees(town.bearing(second))
    assert not await sees(town.bearing(first)), "its password was changed by another hand"


# ---------------------------------------------------------------- tokens that hold once


async def test_a_refresh_token_holds_once_and_its_successor_goes_on(town: Town) -> None:
    token = (await town.login(ANN)).data["refresh_token"]
    for _ in range(3):
        reply = await town.refresh(token)
        assert reply.status == 200
        assert reply.header("cache-control") == "no-store"
        assert reply.data["refresh_token"] != token
        assert await sees(town.bearing(reply))
        token = reply.data["refresh_token"]


async def test_a_token_that_comes_again_ends_its_sign_in_and_no_other(town: Town) -> None:
    first, other = await town.login(ANN), await town.login(ANN)
    second = await town.refresh(first.data["refresh_token"])
    again = await town.refresh(first.data["refresh_token"])
    assert (again.status, again.code) == (401, "unauthenticated")
    assert (await town.refresh(second.data["refresh_token"])).status == 401
    assert [await sees(town.bearing(one)) for one in (first, second, other)] == [False, False, True]
    assert (await town.refresh(other.data["refresh_token"])).status == 200
    warnings = [json.loads(line) for line in town.app.read_log() if "refresh token came twice" in line]
    assert [one["user"] for one in warnings] == [town.users[ANN]]


async def test_of_exchanges_at_once_exactly_one_wins_and_the_others_are_reuse(town: Town) -> None:
    token = (await town.login(ANN)).data["refresh_token"]
    replies = await asyncio.gather(*(town.refresh(token) for _ in range(6)))
    won = [reply for reply in replies if reply.status == 200]
    assert len(won) == 1
    assert {reply.status for reply in replies} == {200, 401}
    assert (await town.refresh(won[0].data["refresh_token"])).status == 401
    assert not await sees(town.bearing(won[0]))


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_a_token_that_is_not_of_a_sign_in_holds_nothing_and_ends_nothing(town: Town, part: int) -> None:
    reply = await town.login(ANN)
    other = await town.login(ANN)
    parts, strange = reply.data["refresh_token"].split("."), other.data["refresh_token"].split(".")
    if part < 2:
        mixed = ".".join([*parts[:part], strange[part], *parts[part + 1 :]])
        assert (await town.refresh(mixed)).status == 401
        assert (await town.logout(mixed)).status == 204
    for text in ("x", "a.b.c", reply.data["refresh_token"] + "x", reply.data["access_token"][:200], "." * 150):
        refused = await town.refresh(text)
        if text.endswith("x") and len(text) > 50:
            continue  # the last part is another one: that is reuse, and another test's
        assert refused.status == 401, text
    if part < 2:
        assert (await town.refresh(other.data["refresh_token"])).status == 200


async def test_a_refresh_token_ends_in_time_and_is_not_reuse_then(town: Town) -> None:
    reply = await town.login(ANN)
    past = "2026-01-01 00:00:00.000000"
    await town.execute("UPDATE aether_refresh_token SET expires_on = ?", past)
    assert (await town.refresh(reply.data["refresh_token"])).status == 401
    ((revoked,),) = await town.fetch("SELECT revoked_on FROM aether_refresh_token")
    assert revoked is None


async def test_sign_ins_that_ended_long_ago_are_forgotten(town: Town) -> None:
    await town.login(ANN)
    await town.execute("UPDATE aether_refresh_token SET expires_on = ?", "2020-01-01 00:00:00.000000")
    await town.login(ANN)
    assert len(await town.fetch("SELECT id FROM aether_refresh_token")) == 1


# ---------------------------------------------------------------- what ends a sign-in


@pytest.mark.parametrize("which", ["present", "old"])
async def test_signing_out_ends_a_sign_in_with_all_its_tokens(town: Town, which: str) -> None:
    first = await town.login(ANN)
    second = await town.refresh(first.data["refresh_token"])
    token = (second if which == "present" else first).data["refresh_token"]
    for _ in range(2):
        reply = await town.logout(token)
        assert (reply.status, reply.body) == (204, b"")
    assert not await sees(town.bearing(first))
    assert not await sees(town.bearing(second))
    assert (await town.refresh(second.data["refresh_token"])).status == 401
    assert (await town.logout("nothing")).status == 204


async def disable(town: Town) -> None:
    await town.operator().send("PATCH", f"/v3/crud/user/{town.users[ANN]}", {"enable": False})


async def delete(town: Town) -> None:
    await town.operator().send("DELETE", f"/v3/crud/user/{town.users[ANN]}")


async def delete_for_good(town: Town) -> None:
    await town.operator().send("DELETE", f"/v3/crud/user/{town.users[ANN]}?hard=true")


async def change_password(town: Town) -> None:
    await town.operator().send("PATCH", f"/v3/crud/user/{town.users[ANN]}", {"password": "quite another one"})


async def change_password_by_hand(town: Town) -> None:
    await town.execute("UPDATE user SET password = 'x' WHERE email = ?", ANN)


@pytest.mark.parametrize(
    "end", [disable, delete, delete_for_good, change_password, change_password_by_hand], ids=lambda one: one.__name__
)
async def test_what_ends_a_user_or_his_password_ends_his_sign_ins(town: Town, end: Any) -> None:
    await town.make_user(BEN)
    reply, other = await town.login(ANN), await town.login(BEN)
    assert await sees(town.bearing(reply))
    await end(town)
    assert not await sees(town.bearing(reply))
    assert (await town.refresh(reply.data["refresh_token"])).status == 401
    assert (await town.login(ANN)).status == 401
    assert await sees(town.bearing(other))


async def test_a_user_who_is_enabled_again_has_his_sign_in_again(town: Town) -> None:
    reply = await town.login(ANN)
    await disable(town)
    assert (await town.refresh(reply.data["refresh_token"])).status == 401
    await town.operator().send("PATCH", f"/v3/crud/user/{town.users[ANN]}", {"enable": True})
    assert await sees(town.bearing(reply))
    assert (await town.refresh(reply.data["refresh_token"])).status == 200


async def test_a_token_names_its_own_user_and_a_sign_in_that_there_is(town: Town) -> None:
    await town.make_user(BEN)
    reply = await town.login(ANN)
    claims = jwt.decode(reply.data["access_token"], SECRET, ["HS256"])
    for change in ({"sub": town.users[BEN]}, {"aether_sid": new_public_id()}, {"aether_sid": 7}, {"aether_sid": ""}):
        token = jwt.encode({**claims, **change}, SECRET, "HS256")
        assert not await sees(town.client({"Authorization": f"Bearer {token}"})), change


# ---------------------------------------------------------------- what a user may do


async def test_roles_come_from_the_users_row_as_it_is_now_whatever_the_token_says(town: Town) -> None:
    reply = await town.login(ANN)
    me, path = town.bearing(reply), f"/v3/crud/user/{town.users[ANN]}"
    assert (await me.send("POST", "/v3/crud/journal/", {"name": "x"})).status == 403
    await town.minted().send("PATCH", path, {"roles": ["editor"]})
    assert (await me.send("POST", "/v3/crud/journal/", {"name": "x"})).status == 201
    await town.minted().send("PATCH", path, {"roles": []})
    assert (await me.send("POST", "/v3/crud/journal/", {"name": "x"})).status == 404
    claims = jwt.decode(reply.data["access_token"], SECRET, ["HS256"])
    forged = jwt.encode({**claims, "roles": ["admin"], "accounts": ["*"], "scopes": ["*:*"]}, SECRET, "HS256")
    assert (await town.client({"Authorization": f"Bearer {forged}"}).get(path)).status == 404


async def test_nobody_gives_himself_rights_or_takes_anothers_place_who_may_only_edit_users(town: Town) -> None:
    path = f"/v3/crud/user/{town.users[ANN]}"
    await town.minted().send("PATCH", path, {"roles": ["editor"]})
    editors = [
        town.bearing(await town.login(ANN)),
        town.minted(roles=["editor"]),
        town.minted(scopes=["user:read", "user:write", "*:read", "*:write"]),
    ]
    for caller in editors:
        assert (await caller.send("PATCH", path, {"name": "Ann"})).status == 200
        for body in ({"roles": ["admin"]}, {"password": "mine from now on"}):
            for method, where, more in (
                ("PATCH", path, {}),
                ("POST", "/v3/crud/user/", {"name": "n", "email": "n@n.nn"}),
            ):
                refused = await caller.send(method, where, {**more, **body})
                assert refused.status == 422, refused
    assert (await town.login(ANN)).status == 200
    everything = town.minted(scopes=["*:*"])
    assert (await everything.send("PATCH", path, {"password": "by who may do all"})).status == 200
    assert (await everything.send("PATCH", path, {"roles": ["admin"]})).status == 422
    assert (await town.minted().send("PATCH", path, {"roles": ["viewer"]})).status == 200


# ---------------------------------------------------------------- how it is asked and told


async def test_bodies_are_small_whole_and_known(town: Town) -> None:
    client = town.client()
    for body, status, code, pointer in (
        ({"email": ANN}, 422, "required", "/password"),
        ({"email": ANN, "password": PASSWORD, "role": "admin"}, 422, "unknown-field", "/role"),
        ({"email": [ANN], "password": PASSWORD}, 422, "type-mismatch", "/email"),
        ({"email": ANN, "password": "x" * 1_025}, 422, "too-long", "/password"),
        ({"email": ANN, "password": ""}, 422, "too-short", "/password"),
        ({"email": ANN, "password": "x" * 20_000}, 413, "payload-too-large", None),
    ):
        reply = await client.send("POST", "/v3/action/auth/login", body)
        assert (reply.status, reply.code if pointer is None else reply.json["errors"][0]["code"]) == (status, code)
        assert pointer is None or reply.json["errors"][0]["pointer"] == pointer
        assert reply.header("cache-control") == "no-store"
        assert PASSWORD not in str(reply.body)
    wrong = await client.get("/v3/action/auth/login")
    assert wrong.status == 401, "nobody learns which paths there are"
    both = {"Authorization": "Bearer x", "X-API-Key": "x"}
    assert (await town.login(ANN, headers=both)).status == 400
    assert (await town.login(ANN, headers={"Authorization": "Bearer x"})).status == 401


async def test_openapi_says_that_signing_in_needs_no_credentials(town: Town) -> None:
    paths = (await town.client().get("/openapi.json")).json["paths"]
    for name in ("login", "refresh", "logout"):
        operation = paths[f"/v3/action/auth/{name}"]["post"]
        assert operation["security"] == []
        assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert "/v3/action/auth/api_key" not in paths


async def test_no_log_line_holds_a_password_or_a_token(town: Town) -> None:
    reply = await town.login(ANN)
    fresh = await town.refresh(reply.data["refresh_token"])
    await town.refresh(reply.data["refresh_token"])
    await town.login(ANN, "wrong-and-secret")
    await town.client().get(f"/v3/crud/user/?token={fresh.data['access_token']}")
    made = await town.minted().send("POST", "/v3/action/auth/api_key", {"name": "n", "scopes": ["journal:read"]})
    log = "\n".join(town.app.read_log())
    assert "auth/login" in log
    for one in (reply, fresh):
        for part in (one.data["access_token"], *one.data["refresh_token"].split(".")[1:]):
            assert part not in log
    for secret in (PASSWORD, "wrong-and-secret", made.data["key"].partition(".")[2]):
        assert secret not in log


async def test_where_only_others_sign_tokens_nobody_signs_in_and_is_told_why(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch)
    key = tmp_path / "key.pem"
    public = Ed25519PrivateKey.generate().public_key()
    key.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    async with settled(sqlite_url) as town:
        await town.make_user(ANN)
    settings: dict[str, Any] = {"jwt_secret": None, "jwt_public_key_file": key}
    async with running(make_settings(sqlite_url, SHIPPED, **settings)) as app:
        town = Town(app)
        for reply in (await town.login(ANN), await town.refresh("x")):
            assert reply.status == 503
            assert reply.header("retry-after")
            assert "identity provider" in reply.json["detail"]
