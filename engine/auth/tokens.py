"""Bearer tokens: whether a JWT holds, and what it claims.

Which algorithms are accepted is decided by the configured keys alone: each key is
good for exactly one, and a token only says which of them to try. `kid` picks within
a JWKS file and means nothing else; no header of a token makes us open a file, a
socket or a statement. Where a secret and a public key are both configured, tokens
of either are accepted, each key by its own algorithm.

Whether the accounts and the user exist is `auth/gate.py`'s business, how tokens are
made `auth/mint.py`'s. Every failure is the same `Unauthenticated`.
"""

from __future__ import annotations

import binascii
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import HMACAlgorithm

from engine.errors import BadJson, Unauthenticated, ValidationFailed
from engine.language.ids import is_public_id
from engine.language.json import decode_json
from engine.settings import Settings, SettingsError

MAX_TOKEN_BYTES = 8 * 1024
MAX_SUBJECT = 255
MAX_WORDS = 1_000
MAX_JSON_DEPTH = 16
MIN_RSA_BITS = 2048
SKEW_S = 5
"""How far an issuer's clock may be ahead of ours (`nbf`, `iat`). `exp` has no such grace."""
LAST_SECOND = 253_402_300_799
"""The end of the year 9999: no sane `exp` is later."""
OPERATOR_MARK = "*"
SESSION_CLAIM = "aether_sid"
"""The sign-in that a token is of. Not `sid`, which identity providers use for their own."""

_KID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._~=+/@:#-]{0,199}")
_SEGMENT = re.compile(rb"[A-Za-z0-9_-]+")


def refuse() -> Unauthenticated:
    """The one 401: nothing tells a missing credential from a wrong, expired or revoked one."""
    detail = "Valid credentials are needed: send `Authorization: Bearer …` or `X-API-Key: …`."
    return Unauthenticated(detail, headers=(("WWW-Authenticate", "Bearer"),))


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token proved, before anything is looked up.

    Attributes:
        subject: ``sub`` as it came: the public id of a user, or a name of the issuer's for a service.
        accounts: Public ids as claimed, each once; empty for an operator.
        is_operator: ``accounts`` was ``["*"]``.
        roles: Sorted, each once.
        expires_at: Unix time, seconds.
        session: The sign-in that it is of (`auth/sessions.py`); None for tokens that were not made by one.
    """

    subject: str
    accounts: tuple[str, ...]
    is_operator: bool
    scopes: frozenset[str]
    roles: tuple[str, ...]
    expires_at: float
    session: str | None = None


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A configured key with the one algorithm that it is good for."""

    algorithm: str
    key: Any = field(
        repr=False
    )  # bytes, or a public key of `cryptography`: PyJWT's own type for it differs from version to version
    kid: str | None = None


class TokenVerifier:
    """Verifies tokens against the configured keys.

    Args:
        keys: The keys, each with its algorithm.
        audience: What ``aud`` must name; None = not asked.
        issuer: What ``iss`` must be; None = not asked.
        now: Unix time, seconds.
    """

    __slots__ = ("_audience", "_issuer", "_jws", "_keys", "_now")

    def __init__(
        self,
        keys: Sequence[VerifyingKey],
        *,
        audience: str | None = None,
        issuer: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._keys = tuple(keys)
        self._audience = audience
        self._issuer = issuer
        self._now = now
        self._jws = {key.algorithm: _make_jws(key.algorithm) for key in keys}

    def verify(self, token: bytes) -> Claims:
        """Read a token that somebody sent.

        Raises:
            Unauthenticated: It does not hold, for whatever reason.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise refuse()
        segments = token.split(b".")
        if len(segments) != 3 or not all(_SEGMENT.fullmatch(segment) for segment in segments):
            raise refuse()
        header = _read_object(segments[0])
        # Extensions that must be understood are refused, and so is a payload that is no base64: we know none.
        if "crit" in header or "b64" in header:
            raise refuse()
        for key in self._candidates(header):
            try:
                self._jws[key.algorithm].decode_complete(token, key.key, algorithms=[key.algorithm])
            except (jwt.PyJWTError, ValueError):
                continue
            return self._read_claims(_read_object(segments[1]))
        raise refuse()

    # ------------------------------------------------------------ private

    def _candidates(self, header: Mapping[str, object]) -> list[VerifyingKey]:
        algorithm, kid = header.get("alg"), header.get("kid")
        if "kid" in header and not _is_sane_kid(kid):
            raise refuse()
        return [
            key
            for key in self._keys
            if key.algorithm == algorithm and (key.kid is None or kid is None or key.kid == kid)
        ]

    def _read_claims(self, payload: Mapping[str, object]) -> Claims:
        now = self._now()
        expires_at = _seconds(payload.get("exp"))
        if not now < expires_at <= LAST_SECOND:
            raise refuse()
        for name in ("nbf", "iat"):
            if name in payload and _seconds(payload[name]) > now + SKEW_S:
                raise refuse()
        if self._issuer is not None and payload.get("iss") != self._issuer:
            raise refuse()
        if self._audience is not None and self._audience not in _words(payload.get("aud"), split=False):
            raise refuse()
        subject = payload.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
            raise refuse()
        accounts = payload.get("accounts")
        if accounts is not None and not isinstance(accounts, list):
            raise refuse()
        named = tuple(dict.fromkeys(_words(accounts)))
        is_operator = named == (OPERATOR_MARK,)
        if OPERATOR_MARK in named and not is_operator:
            raise refuse()
        return Claims(
            subject=subject,
            accounts=() if is_operator else named,
            is_operator=is_operator,
            scopes=frozenset(_words(payload.get("scopes"))),
            roles=tuple(sorted(set(_words(payload.get("roles"))))),
            expires_at=expires_at,
            session=_read_session(payload),
        )


def make_verifier(settings: Settings, *, now: Callable[[], float] = time.time) -> TokenVerifier:
    """Make the verifier that the settings describe.

    Args:
        settings: Checked settings; the secret's length is theirs to judge.
        now: Unix time, seconds.

    Raises:
        SettingsError: The secret cannot be an HMAC key, or the key file holds no public key we can use.
    """
    keys: list[VerifyingKey] = []
    if settings.jwt_secret is not None:
        keys.append(VerifyingKey("HS256", _read_secret(settings.jwt_secret)))
    if settings.jwt_public_key_file is not None:
        keys.extend(read_key_file(settings.jwt_public_key_file))
    return TokenVerifier(keys, audience=settings.jwt_audience, issuer=settings.jwt_issuer, now=now)


def read_key_file(path: Path) -> list[VerifyingKey]:
    """Read a file that holds one public key in PEM form, or a JWKS document.

    Raises:
        SettingsError: It holds neither, or a key that must not be there (private, symmetric, too short).
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _wrong_key_file(path, f"it cannot be read ({error.strerror})") from error
    if raw.lstrip().startswith(b"{"):
        return _read_jwks(path, raw)
    try:
        key = load_pem_public_key(raw)
    except Exception as error:  # cryptography raises ValueError, TypeError and UnsupportedAlgorithm, by version
        raise _wrong_key_file(path, "it holds neither a public key in PEM form nor a JWKS document") from error
    algorithm = _algorithm_of(key)
    if algorithm is None:
        raise _wrong_key_file(path, f"RSA of {MIN_RSA_BITS} bits or more, EC P-256 or Ed25519 is expected")
    return [VerifyingKey(algorithm, key)]


def _read_jwks(path: Path, raw: bytes) -> list[VerifyingKey]:
    try:
        document = decode_json(raw)
    except (BadJson, ValidationFailed) as error:
        raise _wrong_key_file(path, "it is no valid JSON") from error
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise _wrong_key_file(path, 'a JWKS document has a list of "keys"')
    keys = []
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        kid = entry.get("kid")
        if "d" in entry or entry.get("kty") == "oct":
            raise _wrong_key_file(path, f"key {kid!r} is private; the file takes public keys only")
        try:
            key = jwt.PyJWK(entry).key
        except jwt.PyJWTError as error:
            raise _wrong_key_file(path, f"key {kid!r} cannot be read") from error
        algorithm = _algorithm_of(key)
        if algorithm is None or entry.get("alg", algorithm) != algorithm:
            continue  # a provider's set may hold keys for algorithms that we do not take
        if kid is not None and not _is_sane_kid(kid):
            raise _wrong_key_file(path, f"{kid!r} is no usable kid")
        keys.append(VerifyingKey(algorithm, key, kid))
    if not keys:
        raise _wrong_key_file(path, "it holds no key for RS256, ES256 or EdDSA")
    return keys


def _algorithm_of(key: object) -> str | None:
    if isinstance(key, RSAPublicKey):
        return "RS256" if key.key_size >= MIN_RSA_BITS else None
    if isinstance(key, EllipticCurvePublicKey):
        return "ES256" if isinstance(key.curve, SECP256R1) else None
    return "EdDSA" if isinstance(key, Ed25519PublicKey) else None


def _wrong_key_file(path: Path, reason: str) -> SettingsError:
    return SettingsError([f"AETHER_JWT_PUBLIC_KEY_FILE {str(path)!r}: {reason}."])


class _Hmac(HMACAlgorithm):
    """HS256 without PyJWT's warning on each call: the settings refuse a short secret, or (`--dev`) allow it."""

    def check_key_length(self, key: bytes) -> str | None:
        return None


def _make_jws(algorithm: str) -> jwt.PyJWS:
    """A verifier that knows one algorithm and no other."""
    jws = jwt.PyJWS(algorithms=[algorithm])
    if algorithm == "HS256":
        jws.unregister_algorithm(algorithm)
        jws.register_algorithm(algorithm, _Hmac(HMACAlgorithm.SHA256))
    return jws


def _read_secret(secret: str) -> bytes:
    try:
        return _Hmac(HMACAlgorithm.SHA256).prepare_key(secret)
    except jwt.InvalidKeyError as error:
        raise SettingsError(["AETHER_JWT_SECRET looks like a public or private key: expected random bytes."]) from error


# ---------------------------------------------------------------- parts of a token


def _read_object(segment: bytes) -> Mapping[str, object]:
    try:
        value = decode_json(urlsafe_b64decode(segment + b"=" * (-len(segment) % 4)), max_depth=MAX_JSON_DEPTH)
    except (binascii.Error, BadJson, ValidationFailed) as error:
        raise refuse() from error
    if not isinstance(value, dict):
        raise refuse()
    return value


def _is_sane_kid(kid: object) -> bool:
    return isinstance(kid, str) and _KID.fullmatch(kid) is not None and ".." not in kid and "://" not in kid


def _read_session(payload: Mapping[str, object]) -> str | None:
    session = payload.get(SESSION_CLAIM)
    if session is not None and not is_public_id(session):
        raise refuse()
    return None if session is None else str(session)


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LAST_SECOND:
        raise refuse()
    return float(value)


def _words(value: object, *, split: bool = True) -> list[str]:
    """A claim that is a list of strings, or one string (of words, where `split`); absent is empty."""
    if value is None:
        return []
    if isinstance(value, str):
        value = value.split() if split else [value]
    if not isinstance(value, list) or len(value) > MAX_WORDS or not all(isinstance(word, str) for word in value):
        raise refuse()
    return value
