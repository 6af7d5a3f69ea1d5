"""Attacks with forged, bent and misplaced credentials."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.attack import World, alike, unknown_id
from tests.support.serving import SECRET, Client, Running, make_settings, running

AUDIENCE, ISSUER = "aether-of-tests", "https://issuer.example.org/"
DOORS = ("/v3/crud/journal/", "/v3/crud/", "/v3/crud/schema", "/v3/meta/registry", "/openapi.json", "/v3/nowhere")


def encode(value: bytes) -> str:
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def forge(header: object, payload: object, key: bytes = SECRET.encode(), *, signature: str | None = None) -> str:
    """A token made by hand; strings are taken as raw JSON."""
    head, body = (encode((one if isinstance(one, str) else json.dumps(one)).encode()) for one in (header, payload))
    signed = f"{head}.{body}"
    if signature is None:
        signature = encode(hmac.new(key, signed.encode(), hashlib.sha256).digest())
    return f"{signed}.{signature}"


HEADER = {"alg": "HS256", "typ": "JWT"}


@pytest.fixture(scope="module")
async def key_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, rsa.RSAPrivateKey]:
    """A public key for RS256."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = tmp_path_factory.mktemp("keys") / "public.pem"
    path.write_bytes(_public(private, serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return path, private


@pytest.fixture
async def strict(world: World, key_file: tuple[Path, rsa.RSAPrivateKey]) -> AsyncIterator[Running]:
    """The same application with a secret and a public key, an audience and an issuer."""
    settings = make_settings(
        world.running.settings.database_url,
        world.running.settings.registry,
        jwt_public_key_file=key_file[0],
        jwt_audience=AUDIENCE,
        jwt_issuer=ISSUER,
    )
    async with running(settings) as app:
        yield app


def claims_of(world: World, **more: Any) -> dict[str, Any]:
    """Claims that hold."""
    now = int(time.time())
    return {
        "sub": world.first("user"), "accounts": [world.accounts["a"]], "scopes": ["*:read"], "iat": now,
        "exp": now + 600, "aud": AUDIENCE, "iss": ISSUER, **more,
    }  # fmt: skip


def client_of(world: World, app: Running | None = None) -> Client:
    """A caller whose replies are checked, on another application if need be."""
    engine = world.running.engine if app is None else app.engine
    return Client(engine.application, "forger", {}, world.replies.append)


async def assert_refused(client: Client, *tokens: str) -> None:
    """All tokens are the same 401 at every door."""
    expected = await client.get(DOORS[0])
    assert expected.status == 401, expected
    assert expected.header("www-authenticate"), expected
    for token in tokens:
        for door in DOORS:
            reply = await client.get(door, headers={"Authorization": f"Bearer {token}"})
            assert alike(reply) == alike(expected), (token[:200], str(reply))


async def test_a_token_without_a_signature_is_refused(world: World) -> None:
    client, claims = client_of(world), claims_of(world)
    tokens = [
        forge({"alg": alg, "typ": "JWT"}, claims, signature=signature)
        for alg in ("none", "None", "NONE", "nOnE", "", "HS256", "HS512", "HS384", "hs256", None, ["HS256"], 256)
        for signature in ("", "AA", encode(b"\0" * 32))
    ]
    tokens += [forge({"typ": "JWT"}, claims), forge({"alg": "none"}, claims), forge({"alg": "HS256\0"}, claims)]
    good = forge(HEADER, claims)
    head, body, signature = good.split(".")
    tokens += [
        f"{head}.{body}", f"{head}.{body}.", f".{body}.{signature}", f"{head}..{signature}", f"{good}.", f"{good}.x",
        f"{head}.{body}.{signature}=", f"{head}.{body}.{signature[:-4]}", good + "A", "a.b.c", ".", "..", "null",
        f"{head}.{encode(json.dumps({**claims, 'scopes': ['*:*']}).encode())}.{signature}",
    ]  # fmt: skip
    await assert_refused(client, *tokens)
    must = await client.get(DOORS[0], headers={"Authorization": f"Bearer {good}"})
    assert must.status == 200, must


async def test_a_public_key_is_no_secret(
    world: World, strict: Running, key_file: tuple[Path, rsa.RSAPrivateKey]
) -> None:
    private = key_file[1]
    numbers = private.public_key().public_numbers()
    encoding, form = serialization.Encoding, serialization.PublicFormat
    pem = _public(private, encoding.PEM, form.SubjectPublicKeyInfo)
    jwk = {
        "kty": "RSA", "n": encode(numbers.n.to_bytes(256, "big")), "e": encode(numbers.e.to_bytes(3, "big")),
    }  # fmt: skip
    secrets = [
        pem, pem.strip(), pem.replace(b"\n", b"\r\n"), key_file[0].read_bytes(), str(key_file[0]).encode(),
        _public(private, encoding.PEM, form.PKCS1), _public(private, encoding.DER, form.PKCS1),
        _public(private, encoding.DER, form.SubjectPublicKeyInfo), _public(private, encoding.OpenSSH, form.OpenSSH),
        json.dumps(jwk).encode(), json.dumps(jwk, separators=(",", ":")).encode(), b"", b"secret", b"None",
    ]  # fmt: skip
    claims = claims_of(world)
    tokens = [forge(header, claims, secret) for secret in secrets for header in (HEADER, {"alg": "RS256"})]
    tokens += [forge({"alg": "RS256"}, claims), forge({"alg": "RS256", "jwk": jwk}, claims, pem)]
    await assert_refused(client_of(world, strict), *tokens)
    must = await client_of(world, strict).get(DOORS[0], headers={"Authorization": f"Bearer {forge(HEADER, claims)}"})
    assert must.status == 200, must


class _Watch:
    """Notes which files and sockets the process opens while it is on. An audit hook cannot be taken back."""

    def __init__(self) -> None:
        self.is_on = False
        self.seen: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.is_on and event in ("open", "socket.connect", "socket.getaddrinfo", "os.system", "subprocess.Popen"):
            self.seen.append(f"{event} {arguments[:2]!r}")


WATCH = _Watch()


async def test_a_kid_opens_no_file_no_socket_and_no_statement(world: World) -> None:
    client, claims = client_of(world), claims_of(world)
    kids: list[Any] = [
        "../../dev/null", "/dev/null", "' OR 1=1 --", "http://127.0.0.1:9/", "file:///etc/passwd", "k" * 10_240,
        "a\0b", "", {"a": 1}, ["x"], 0, None, True, "$(id)", "%s%s%s", "../" * 50,
    ]  # fmt: skip
    tokens = [forge({**HEADER, "kid": kid}, claims, b"") for kid in kids]
    tokens += [forge({**HEADER, "kid": kid}, claims) for kid in kids]
    tokens += [
        forge({**HEADER, name: value}, claims, b"x")
        for name in ("jku", "x5u", "jwk", "x5c")
        for value in ("http://127.0.0.1:9/jwks", ["MIIB"], {"kty": "oct", "k": encode(b"x")})
    ]
    before = (await world.fetch("SELECT COUNT(*) FROM aether_api_key"))[0]
    WATCH.seen.clear()
    WATCH.is_on = True
    try:
        await assert_refused(client, *tokens)
    finally:
        WATCH.is_on = False
    assert not [one for one in WATCH.seen if any(part in one for part in ("null", "passwd", ":9", "kid", "OR 1=1"))]
    assert (await world.fetch("SELECT COUNT(*) FROM aether_api_key"))[0] == before


async def test_claims_that_do_not_hold_are_refused(world: World, strict: Running) -> None:
    now = int(time.time())
    wrong: list[dict[str, Any]] = [
        {"aud": "other"}, {"aud": None}, {"aud": []}, {"aud": ["other", "more"]}, {"aud": f"{AUDIENCE} x"},
        {"aud": AUDIENCE.upper()}, {"aud": {AUDIENCE: 1}}, {"aud": [[AUDIENCE]]}, {"aud": 1}, {"aud": ""},
        {"iss": ISSUER[:-1]}, {"iss": f"{ISSUER}x"}, {"iss": ISSUER.upper()}, {"iss": [ISSUER]}, {"iss": None},
        {"iss": ""}, {"iss": ISSUER.replace("issuer", "ISSUER")},
        {"exp": None}, {"exp": str(now + 600)}, {"exp": -1}, {"exp": 0}, {"exp": now - 1}, {"exp": True},
        {"exp": [now + 600]}, {"exp": {}}, {"exp": 10**300},
        {"nbf": now + 3600}, {"nbf": "soon"}, {"iat": now + 3600}, {"nbf": None},
        {"sub": None}, {"sub": ""}, {"sub": 7}, {"sub": ["x"]}, {"sub": "a\0b"}, {"sub": "x" * 300},
        {"accounts": "*"}, {"accounts": {"*": 1}}, {"accounts": ["*", world.accounts["a"]]}, {"accounts": [["*"]]},
        {"accounts": [1]}, {"accounts": [unknown_id()]}, {"accounts": [world.row_ids[world.accounts["a"]]]},
        {"scopes": {"*:*": 1}}, {"scopes": [1]}, {"scopes": 7}, {"roles": [{"admin": 1}]},
    ]  # fmt: skip
    tokens = [forge(HEADER, claims_of(world, **one)) for one in wrong]
    for name in ("aud", "iss", "exp", "sub"):
        tokens.append(forge(HEADER, {key: value for key, value in claims_of(world).items() if key != name}))
    text = json.dumps(claims_of(world))
    for raw in ("1e400", "NaN", "Infinity", "-Infinity", "1e999999"):
        tokens.append(forge(HEADER, text.replace(f'"exp": {claims_of(world)["exp"]}', f'"exp": {raw}')))
    tokens += [
        forge(HEADER, raw)
        for raw in ("[]", "null", '"x"', "1", "{", "", "{}", "[" * 100_000, text[:-1] + ',"sub":"x"}')
    ]
    await assert_refused(client_of(world, strict), *tokens)


async def test_extensions_that_we_do_not_know_are_refused(world: World) -> None:
    claims = claims_of(world)
    headers: list[dict[str, Any]] = [
        {"crit": ["x"], "x": 1}, {"crit": []}, {"crit": ["exp"], "exp": 1}, {"crit": None}, {"b64": False},
        {"b64": False, "crit": ["b64"]}, {"b64": True},
    ]  # fmt: skip
    tokens = [forge({**HEADER, **one}, claims) for one in headers]
    tokens.append(forge('{"alg":"HS256","typ":"JWT","alg":"none"}', claims, signature=""))
    tokens.append(forge('{"alg":"none","alg":"HS256"}', claims))
    await assert_refused(client_of(world), *tokens)


async def test_a_header_that_is_no_credential_is_refused(world: World) -> None:
    client = client_of(world)
    good = forge(HEADER, claims_of(world))
    expected = await client.get(DOORS[0])
    for value in (
        "", " ", "Bearer", "Bearer ", f"Basic {encode(b'a:b')}", f"Token {good}", good, f"Bearer{good}", "Bearer null",
        f"Bearer  {good} x", f'Bearer "{good}"', "Negotiate x", "Bearer " + "x" * 100_000, "Bearer \xff\xfe",
        f"Digest {good}", f"Bearer {good},Bearer {good}",
    ):  # fmt: skip
        reply = await client.send("GET", DOORS[0], pairs=[("Authorization", value)])
        assert alike(reply) == alike(expected), (value[:50], str(reply))
    both = await client.get(DOORS[0], headers={"Authorization": f"Bearer {good}", "X-API-Key": "x.y"})
    assert both.status == 400, both


async def test_every_wrong_key_is_the_same_refusal_and_only_a_digest_is_stored(world: World) -> None:
    client = client_of(world)
    key = world.callers["key"].headers["X-API-Key"]
    prefix, _, secret = key.partition(".")
    expected = await client.get(DOORS[0])
    wrong = [f"{prefix}.{secret[:size]}{'A' * (len(secret) - size)}" for size in range(0, len(secret) - 3, 3)]
    wrong += [
        prefix, f"{prefix}.", f".{secret}", secret, key[:-1], f"{key}A", f"{prefix}:{secret}", key.swapcase(),
        f" {key} x", f"{prefix}.{hashlib.sha256(secret.encode()).hexdigest()}", f"{unknown_id()}.{secret}", "' OR 1=1",
        f"{prefix}.{secret}\0", "x" * 100_000, f"%.{secret}", f"{prefix[:-1]}_.{secret}", "\xff.\xff",
        f"{prefix.upper()}.{secret}",
    ]  # fmt: skip
    for one in wrong:
        reply = await client.get(DOORS[0], headers={"X-API-Key": one})
        assert alike(reply) == alike(expected), (one[:60], str(reply))
    must = await client.get(DOORS[0], headers={"X-API-Key": key})
    assert must.status == 200, must
    stored = repr(await world.fetch("SELECT * FROM aether_api_key"))
    assert secret not in stored
    assert hashlib.sha256(secret.encode()).hexdigest() in stored


@pytest.mark.redis
async def test_redis_holds_no_key_no_token_and_no_value(world: World, redis_url: str) -> None:
    settings = make_settings(
        world.running.settings.database_url, world.running.settings.registry, redis_url=redis_url,
        rate_limit_per_minute=100_000,
    )  # fmt: skip
    async with running(settings) as app:
        for name in ("user", "key", "other"):
            client = Client(app.engine.application, name, world.callers[name].headers, world.replies.append)
            for path in ("/v3/crud/journal/", f"/v3/crud/journal/{world.first('journal')}/entry/"):
                await client.get(path)
            await client.send(
                "PATCH", f"/v3/crud/journal/{world.first('journal')}", {"person_id": world.first("person")}
            )
        with redis.Redis.from_url(redis_url) as store:
            held = repr([(key, store.dump(key)) for key in store.scan_iter()])
    for secret in (*world.secrets, "CANARY", "alpha"):
        assert secret not in held


@pytest.mark.parametrize(
    "name", ["token", "access_token", "jwt", "api_key", "apikey", "key", "authorization", "x-api-key"]
)
async def test_a_credential_in_the_query_string_opens_nothing_and_is_not_logged(world: World, name: str) -> None:
    token = world.user.headers["Authorization"].removeprefix("Bearer ")
    key = world.callers["key"].headers["X-API-Key"]
    nobody = world.nobody
    for value in (token, f"Bearer%20{token}", key):
        for path in ("/v3/crud/journal/", f"/v3/crud/journal/{world.first('journal')}", "/v3/nowhere"):
            reply = await nobody.get(f"{path}?{name}={value}")
            assert reply.status == 401, reply
            assert value not in reply.body.decode()
    for cookie in (f"token={token}", f"session={token}"):
        reply = await nobody.get("/v3/crud/journal/", headers={"Cookie": cookie})
        assert reply.status == 401, reply


async def test_a_token_of_a_disabled_user_or_of_a_gone_account_is_refused(world: World) -> None:
    client = client_of(world)
    user = world.rows["user"]["a"][2]
    token = forge(HEADER, claims_of(world, sub=user))
    await world.execute("UPDATE tblsecret_user SET enable = 0 WHERE id_random = ?", user)
    try:
        await assert_refused(client, token)
    finally:
        await world.execute("UPDATE tblsecret_user SET enable = 1 WHERE id_random = ?", user)


async def test_scopes_that_mean_nothing_open_nothing(world: World) -> None:
    client = client_of(world)
    for scopes in (
        [], ["journal"], ["journal:"], [":read"], ["*"], ["**:*"], ["JOURNAL:READ"], ["journal:read "],
        ["journal.read"], ["journal:*;*:*"], ["tblsecret_journal:read"], ["jour*:read"], ["%:read"], "*", ["action:*"],
        ["meta:*"],
    ):  # fmt: skip
        token = forge(HEADER, claims_of(world, scopes=scopes, roles=["nobody", "ADMIN", "admin ", "superuser"]))
        for path in ("/v3/crud/journal/", f"/v3/crud/journal/{world.first('journal')}"):
            reply = await client.get(path, headers={"Authorization": f"Bearer {token}"})
            assert reply.status in (401, 403, 404), (scopes, str(reply))


async def test_a_reader_writes_nothing_by_any_method(world: World) -> None:
    viewer, journal = world.callers["viewer"], world.first("journal")
    before = await world.totals(), await world.row("journal", journal)
    for method, path, body in (
        ("POST", "/v3/crud/journal/", {"name": "x"}),
        ("PATCH", f"/v3/crud/journal/{journal}", {"name": "x"}),
        ("PUT", f"/v3/crud/journal/{journal}", {"name": "x"}),
        ("DELETE", f"/v3/crud/journal/{journal}", None),
        ("DELETE", f"/v3/crud/journal/{journal}?hard=true", None),
        ("POST", f"/v3/crud/journal/{journal}/restore", {}),
        ("POST", f"/v3/crud/journal/{journal}/entry/", {"name": "x"}),
        ("POST", f"/v3/crud/journal_entry/{world.first('journal_entry')}/move",
         {"parent": {"type": "journal", "id": journal}}),
        ("POST", "/v3/crud/country/", {"name": "x"}),
        ("POST", "/v3/crud/account/", {"name": "x"}),
    ):  # fmt: skip
        for headers in ({}, {"X-HTTP-Method-Override": method}, {"If-Match": "*"}, {"Prefer": "return=minimal"}):
            reply = await viewer.send(method, path, body, headers=headers)
            assert reply.status == 403, reply
    for override in ("DELETE", "PATCH", "PUT"):
        for name in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
            reply = await world.user.get(f"/v3/crud/journal/{journal}", headers={name: override})
            assert reply.status == 200, reply
        reply = await world.user.get(f"/v3/crud/journal/{journal}?_method={override}")
        assert reply.status == 400, reply
    for path in ("/v3/crud/country/", "/v3/crud/account/"):
        reply = await world.callers["admin"].send("POST", path, {"name": "x"})
        assert reply.status == 403, reply
    assert (await world.totals(), await world.row("journal", journal)) == before


async def test_without_credentials_every_path_is_the_same_refusal(world: World) -> None:
    nobody = world.nobody
    expected = alike(await nobody.get("/v3/crud/journal/"))
    assert expected[0] == 401
    journal = world.first("journal")
    for method, path in (
        ("GET", f"/v3/crud/journal/{journal}"), ("GET", "/v3/crud/nowhere/"), ("GET", "/v3/crud/vault/"),
        ("POST", "/v3/crud/journal/search"), ("POST", "/v3/crud/journal/"), ("DELETE", f"/v3/crud/journal/{journal}"),
        ("GET", "/v3/crud/journal/schema"), ("GET", "/v3/crud/journal/options"), ("BREW", "/v3/crud/journal/"),
        ("GET", f"/v3/crud/journal/{journal}/entry/"), ("GET", "/v3/action/nowhere"), ("GET", "/v3/meta/registry"),
        ("GET", f"/v3/action/journal/{journal}/summary"), ("POST", "/v3/crud/country/"), ("GET", "/v3/crud/user//x"),
        ("PATCH", f"/v3/crud/country/{world.rows['country']['s'][0]}"), ("TRACE", "/v3/crud/journal/"),
    ):  # fmt: skip
        reply = await nobody.send(method, path)
        assert alike(reply) == expected, reply
    theirs = world.first("bulletin", "b")
    for path in (f"/v3/crud/bulletin/{theirs}", "/v3/crud/bulletin/"):
        reply = await nobody.get(path)
        assert theirs not in str(alike(reply)), reply


def _public(private: rsa.RSAPrivateKey, encoding: serialization.Encoding, form: serialization.PublicFormat) -> bytes:
    return private.public_key().public_bytes(encoding, form)
