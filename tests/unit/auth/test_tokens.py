from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from engine.auth.tokens import MAX_TOKEN_BYTES, Claims, TokenVerifier, make_verifier, read_key_file, refuse
from engine.errors import Unauthenticated
from engine.settings import Settings, SettingsError, load_settings

NOW = 1_800_000_000
SECRET = "0f8c1e5b7a2d4c6f9e3b1a5d7c9f2e4b-Zq"
USER = "u" * 22
ACCOUNT = "a" * 22
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def claims(**changes: Any) -> dict[str, Any]:
    good = {"sub": USER, "accounts": [ACCOUNT], "scopes": ["note:read"], "exp": NOW + 60}
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def encode_part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(payload: object, header: dict[str, Any] | bytes | None = None, secret: bytes = SECRET.encode()) -> bytes:
    """A token made by hand: PyJWT would refuse to make most of those that are tried here."""
    text = f"{encode_part(header if header is not None else {'alg': 'HS256'})}.{encode_part(payload)}"
    return f"{text}.{encode_part(hmac.new(secret, text.encode(), hashlib.sha256).digest())}".encode()


def pem(key: Any, encoding: Encoding = Encoding.PEM, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> bytes:
    return bytes(key.public_key().public_bytes(encoding, form))


def verifier(**settings: Any) -> TokenVerifier:
    given = {"mode": "production", "jwt_secret": SECRET, **settings}
    return make_verifier(load_settings(env_file=None, **given), now=lambda: NOW)


def public_verifier(path: Path, raw: bytes, **settings: Any) -> TokenVerifier:
    path.write_bytes(raw)
    return verifier(jwt_secret=None, jwt_public_key_file=path, **settings)


def assert_refused(check: TokenVerifier, token: bytes) -> None:
    with pytest.raises(Unauthenticated) as caught:
        check.verify(token)
    assert caught.value.detail == refuse().detail
    assert caught.value.headers == (("WWW-Authenticate", "Bearer"),)
    assert caught.value.errors == ()


@pytest.fixture
def check() -> TokenVerifier:
    return verifier()


@pytest.fixture
def rsa_check(tmp_path: Path) -> TokenVerifier:
    return public_verifier(tmp_path / "key.pem", pem(RSA_KEY))


def test_a_good_token_says_what_it_claims(check: TokenVerifier) -> None:
    token = sign(claims(roles=["b", "a", "b"], scopes="note:read  post:read", iat=NOW, nbf=NOW, jti="1", aud="any"))
    assert check.verify(token) == Claims(
        USER, (ACCOUNT,), False, frozenset({"note:read", "post:read"}), ("a", "b"), NOW + 60
    )


def test_the_star_alone_is_an_operator(check: TokenVerifier) -> None:
    found = check.verify(sign(claims(accounts=["*"])))
    assert found.is_operator
    assert found.accounts == ()
    assert_refused(check, sign(claims(accounts=["*", ACCOUNT])))


def test_a_token_without_accounts_scopes_or_roles_is_a_known_caller_with_nothing(check: TokenVerifier) -> None:
    found = check.verify(sign(claims(accounts=..., scopes=...)))
    assert (found.accounts, found.scopes, found.roles, found.is_operator) == ((), frozenset(), (), False)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "nOnE"},
        {"alg": "NONE"},
        {"alg": ""},
        {"alg": None},
        {"alg": ["HS256"]},
        {"alg": "hs256"},
        {"alg": "HS256 "},
        {"alg": "HS384"},
        {"alg": "HS512"},
        {"alg": "RS256"},
        {},
        [],
        b"",
        b"null",
        b'{"alg":"HS256","alg":"none"}',
        b"[" * 200,
    ],
)
def test_o13_no_other_algorithm_is_accepted_with_or_without_a_signature(header: Any, check: TokenVerifier) -> None:
    token = sign(claims(), header)
    head, payload, _ = token.split(b".")
    assert_refused(check, token)
    assert_refused(check, head + b"." + payload + b".")
    assert_refused(check, head + b"." + payload)


def test_o13_a_removed_empty_or_altered_signature_is_refused(check: TokenVerifier) -> None:
    token = sign(claims())
    head, payload, signature = token.split(b".")
    altered = bytes([signature[0] ^ 1]) + signature[1:]
    for wrong in (b"", altered, signature[:-2], signature + b"A", signature + b"=", signature + b".", b"!" + signature):
        assert_refused(check, b".".join((head, payload, wrong)))
    assert_refused(check, head + b"." + payload)
    other = sign(claims(sub="x" * 22)).split(b".")[1]
    assert_refused(check, b".".join((head, other, signature)))


_PUBLIC_FORMS: list[tuple[str, Callable[[], bytes]]] = [
    ("pem", lambda: pem(RSA_KEY)),
    ("pem without its newline", lambda: pem(RSA_KEY).strip()),
    ("pkcs1", lambda: pem(RSA_KEY, form=PublicFormat.PKCS1)),
    ("der", lambda: pem(RSA_KEY, Encoding.DER)),
    ("pkcs1 der", lambda: pem(RSA_KEY, Encoding.DER, PublicFormat.PKCS1)),
    ("jwk", lambda: json.dumps(RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True)).encode()),
    ("jwks", lambda: json.dumps({"keys": [RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True)]}).encode()),
    ("ssh", lambda: pem(RSA_KEY, Encoding.OpenSSH, PublicFormat.OpenSSH)),
    ("empty", lambda: b""),
]


@pytest.mark.parametrize("make", [make for _, make in _PUBLIC_FORMS], ids=[name for name, _ in _PUBLIC_FORMS])
@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
def test_o14_a_public_key_is_never_a_secret(make: Callable[[], bytes], algorithm: str, tmp_path: Path) -> None:
    forged = sign(claims(), {"alg": algorithm}, make())
    assert_refused(public_verifier(tmp_path / "key.pem", pem(RSA_KEY)), forged)
    jwks = json.dumps({"keys": [RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True)]}).encode()
    assert_refused(public_verifier(tmp_path / "jwks.json", jwks), forged)
    both = verifier(jwt_public_key_file=tmp_path / "key.pem")
    assert_refused(both, forged)


@pytest.mark.parametrize(
    "kid",
    ["../../dev/null", "' OR 1=1 --", "http://127.0.0.1:9/", "k" * 10_000, "k" * 201, "", 7, None, ["k"], "a\0b", "/k"],
)
@pytest.mark.parametrize("secret", [b"", SECRET.encode()], ids=["unsigned", "signed"])
def test_o15_a_key_id_that_is_none_is_refused(kid: object, secret: bytes, check: TokenVerifier) -> None:
    assert_refused(check, sign(claims(), {"alg": "HS256", "kid": kid}, secret))


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "typ", "cty"])
def test_o15_headers_that_bring_a_key_are_not_looked_at(name: str, check: TokenVerifier) -> None:
    own = {"kty": "oct", "k": encode_part(b"mine" * 8)}
    value: object = own if name == "jwk" else "http://127.0.0.1:9/keys.json"
    assert_refused(check, sign(claims(), {"alg": "HS256", name: value}, b"mine" * 8))
    assert check.verify(sign(claims(), {"alg": "HS256", name: value})).subject == USER


def test_a_sane_key_id_means_nothing_to_a_single_key(check: TokenVerifier) -> None:
    assert check.verify(sign(claims(), {"alg": "HS256", "kid": "2026-01/a+b=="})).subject == USER


@pytest.mark.parametrize(
    "payload",
    [
        claims(exp=...),
        claims(exp=None),
        claims(exp=str(NOW + 60)),
        claims(exp="never"),
        claims(exp=-1),
        claims(exp=0),
        claims(exp=NOW),
        claims(exp=NOW - 1),
        claims(exp=True),
        claims(exp=[NOW + 60]),
        claims(exp=10**18),
        json.dumps(claims(exp=7)).replace("7", "1e400").encode(),
        json.dumps(claims(exp=7)).replace("7", "NaN").encode(),
        json.dumps(claims(exp=7)).replace("7", "Infinity").encode(),
        json.dumps(claims(exp=7)).replace("7", "1" * 5000).encode(),
        json.dumps(claims())[:-1].encode() + f', "exp": {NOW + 90}}}'.encode(),
        claims(nbf=NOW + 3600),
        claims(nbf="x"),
        claims(nbf=None),
        claims(iat=NOW + 3600),
        claims(iat=True),
        claims(sub=...),
        claims(sub=None),
        claims(sub=""),
        claims(sub=7),
        claims(sub=[USER]),
        claims(sub="u" * 256),
        claims(sub="a\0b"),
        claims(sub="a\nb"),
        claims(accounts=ACCOUNT),
        claims(accounts="*"),
        claims(accounts={"*": 1}),
        claims(accounts=[7]),
        claims(accounts=[None]),
        claims(accounts=[["*"]]),
        claims(accounts=True),
        claims(scopes=7),
        claims(scopes=[7]),
        claims(scopes={"*:*": True}),
        claims(scopes=["x"] * 1001),
        claims(roles=7),
        claims(roles=[{}]),
        [claims()],
        "text",
        b"",
        b"{",
        b"\xff",
        b'{"sub":"\\ud800"}',
        b"[" * 3000,
    ],
)
def test_o16_a_signature_does_not_mend_a_claim(payload: object, check: TokenVerifier) -> None:
    assert_refused(check, sign(payload))


def test_a_clock_that_is_a_little_ahead_is_forgiven_at_the_start_and_not_at_the_end(check: TokenVerifier) -> None:
    assert check.verify(sign(claims(nbf=NOW + 5, iat=NOW + 5))).subject == USER
    assert_refused(check, sign(claims(nbf=NOW + 6)))
    assert check.verify(sign(claims(exp=NOW + 0.5))).expires_at == NOW + 0.5
    assert_refused(check, sign(claims(exp=NOW - 0.001)))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ...},
        {"aud": None},
        {"aud": "other"},
        {"aud": "Api"},
        {"aud": "api "},
        {"aud": "apis"},
        {"aud": ["other", "apis"]},
        {"aud": []},
        {"aud": {"api": 1}},
        {"aud": [["api"]]},
        {"aud": ["api", 7]},
        {"aud": "other api"},
        {"iss": ...},
        {"iss": "https://issuer"},
        {"iss": "https://issuer.test/"},
        {"iss": "https://issuer.test.evil.test"},
        {"iss": ["https://issuer.test"]},
        {"iss": None},
    ],
)
def test_o16_audience_and_issuer_are_exact(changes: dict[str, Any]) -> None:
    check = verifier(jwt_audience="api", jwt_issuer="https://issuer.test")
    good = {"aud": "api", "iss": "https://issuer.test"}
    assert check.verify(sign(claims(**good))).subject == USER
    assert check.verify(sign(claims(**{**good, "aud": ["other", "api"]}))).subject == USER
    assert_refused(check, sign(claims(**{**good, **changes})))


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["x"], "x": 1},
        {"crit": []},
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64"], "b64": True},
        {"b64": False},
        {"b64": True},
        {"crit": None},
    ],
)
def test_o17_a_token_that_demands_an_extension_is_refused(header: dict[str, Any], check: TokenVerifier) -> None:
    assert_refused(check, sign(claims(), {"alg": "HS256", **header}))


def test_a_token_over_the_limit_is_refused_unread(check: TokenVerifier) -> None:
    fits = sign(claims(pad="x" * 5000))
    assert len(fits) <= MAX_TOKEN_BYTES
    assert check.verify(fits).subject == USER
    assert_refused(check, sign(claims(pad="x" * MAX_TOKEN_BYTES)))


@given(st.binary(max_size=200) | st.text(max_size=60).map(str.encode))
def test_bytes_that_are_no_token_are_refused_and_never_break(raw: bytes) -> None:
    assert_refused(_CHECK, raw)
    assert_refused(_CHECK, raw + b"." + raw + b"." + raw)


@given(st.integers(0, 2000), st.integers(1, 255))
def test_no_altered_byte_of_a_token_goes_unnoticed(position: int, change: int) -> None:
    token = bytearray(sign(claims()))
    token[position % len(token)] ^= change
    assert_refused(_CHECK, bytes(token))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["sub", "exp", "nbf", "iat", "accounts", "scopes", "roles"]), _JSON))
def test_any_signed_payload_is_claims_or_the_one_refusal(payload: dict[str, object]) -> None:
    try:
        found = _CHECK.verify(sign(claims(**payload)))
    except Unauthenticated:
        return
    assert found.expires_at > NOW
    assert found.subject
    assert not (found.is_operator and found.accounts)


# ---------------------------------------------------------------- public keys


@pytest.mark.parametrize(("key", "algorithm"), [(RSA_KEY, "RS256"), (EC_KEY, "ES256"), (ED_KEY, "EdDSA")])
def test_a_public_key_decides_its_algorithm(key: Any, algorithm: str, tmp_path: Path) -> None:
    check = public_verifier(tmp_path / "key.pem", pem(key))
    assert check.verify(jwt.encode(claims(), key, algorithm).encode()).subject == USER
    assert_refused(check, sign(claims()))
    for other, name in ((RSA_KEY, "RS256"), (RSA_KEY, "RS512"), (RSA_KEY, "PS256"), (EC_KEY, "ES256")):
        if name != algorithm:
            assert_refused(check, jwt.encode(claims(), other, name).encode())


def test_another_key_of_the_same_kind_is_refused(rsa_check: TokenVerifier) -> None:
    assert_refused(rsa_check, jwt.encode(claims(), OTHER_RSA_KEY, "RS256").encode())


def test_a_secret_beside_a_public_key_serves_its_own_algorithm(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(pem(RSA_KEY))
    check = verifier(jwt_public_key_file=tmp_path / "key.pem")
    assert check.verify(sign(claims())).subject == USER
    assert check.verify(jwt.encode(claims(), RSA_KEY, "RS256").encode()).subject == USER


def jwk(key: Any, **more: Any) -> dict[str, Any]:
    algorithm: Any = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}.get(
        next((kind for kind in (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey) if isinstance(key, kind)), object),
        OKPAlgorithm,
    )
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), **more}


def test_a_key_id_picks_within_a_set_of_keys(tmp_path: Path) -> None:
    keys = [jwk(RSA_KEY, kid="one", use="sig"), jwk(OTHER_RSA_KEY, kid="two", alg="RS256"), jwk(EC_KEY, kid="three")]
    check = public_verifier(tmp_path / "jwks.json", json.dumps({"keys": keys}).encode())
    token = jwt.encode(claims(), OTHER_RSA_KEY, "RS256", headers={"kid": "two"})
    assert check.verify(token.encode()).subject == USER
    assert check.verify(jwt.encode(claims(), OTHER_RSA_KEY, "RS256").encode()).subject == USER
    for kid in ("one", "three", "four", "TWO", "../two"):
        assert_refused(check, jwt.encode(claims(), OTHER_RSA_KEY, "RS256", headers={"kid": kid}).encode())
    assert check.verify(jwt.encode(claims(), EC_KEY, "ES256", headers={"kid": "three"}).encode()).subject == USER


def test_a_set_is_read_for_the_keys_we_can_use(tmp_path: Path) -> None:
    keys = [jwk(ED_KEY), jwk(RSA_KEY, use="enc"), jwk(OTHER_RSA_KEY, alg="RS512")]
    path = tmp_path / "jwks.json"
    path.write_bytes(json.dumps({"keys": keys}).encode())
    assert [key.algorithm for key in read_key_file(path)] == ["EdDSA"]


_SMALL_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)
_PRIVATE = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not a key",
        pem(_SMALL_RSA),
        pem(ec.generate_private_key(ec.SECP384R1())),
        RSA_KEY.private_bytes(*_PRIVATE),
        b"{",
        b'{"keys": 1}',
        b'{"keys": []}',
        b'{"keys": [{"kty": "RSA"}]}',
        json.dumps({"keys": [{"kty": "oct", "k": encode_part(b"x" * 32)}]}).encode(),
        json.dumps({"keys": [RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True)]}).encode(),
        json.dumps({"keys": [jwk(RSA_KEY, kid="../x")]}).encode(),
        json.dumps({"keys": [jwk(_SMALL_RSA)]}).encode(),
    ],
)
def test_a_key_file_that_cannot_be_used_stops_the_start_with_the_settings_name(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(raw)
    with pytest.raises(SettingsError, match="AETHER_JWT_PUBLIC_KEY_FILE"):
        read_key_file(path)


def test_a_key_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_key_file(tmp_path / "none")


def test_a_public_key_as_the_secret_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="AETHER_JWT_SECRET"):
        verifier(jwt_secret=pem(RSA_KEY).decode())


def test_a_short_secret_of_a_developer_works_without_a_warning() -> None:
    check = make_verifier(Settings(mode="dev", jwt_secret="short"), now=lambda: NOW)
    assert check.verify(sign(claims(), secret=b"short")).subject == USER


_CHECK = verifier()
