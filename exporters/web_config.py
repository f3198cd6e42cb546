"""``--web.config.file``: TLS and users, in the format of Prometheus' exporter-toolkit (its docs/web-configuration.md).

The file and the certificates are looked at for each connection and read again when they changed. A file that is wrong
then is logged, and the last good one stays in force; at the start it is an error.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cgscope.suggest import did_you_mean
from cgscope.yamlfile import ConfigError, Value, load

_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_AUTH: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_TLS_KEYS: Final = (
    "cert_file",
    "key_file",
    "client_auth_type",
    "client_ca_file",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
)
_BCRYPT: Final = re.compile(r"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}")
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_CIPHER: Final = re.compile(r"TLS_([A-Z0-9_]+)_WITH_([A-Z0-9_]+)")
# Checked for users that do not exist, so that the time of an answer does not tell who does.
_NOBODY: Final = "$2b$10$" + "." * 53
_MOST_PROVEN: Final = 100

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What the file says. ``files`` are all whose change matters."""

    context: ssl.SSLContext | None = None
    allowed_sans: frozenset[str] = frozenset()
    users: Mapping[str, str] = field(default_factory=dict)  # name -> bcrypt hash
    headers: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()


class WebConfigFile:
    """A file that may change while we run."""

    def __init__(self, path: str | None) -> None:
        """Read it. Raises `ConfigError`. Without a path: no TLS, no users."""
        self._path = path
        self._config = read(path) if path else WebConfig()
        self._stamp = _stamp(self._config.files)
        self._proven: dict[bytes, None] = {}
        self._salt = secrets.token_bytes(16)

    def current(self) -> WebConfig:
        """Give what is in force, after a look whether a file changed."""
        stamp = _stamp(self._config.files)
        if self._path is not None and stamp != self._stamp:
            self._stamp = stamp
            try:
                self._config = read(self._path)
                self._stamp = _stamp(self._config.files)
                self._proven = {}
            except ConfigError as error:
                log.error("%s; the last good configuration stays in force", error)  # noqa: TRY400 - no traceback
        return self._config

    def is_proven(self, user: str, password: str) -> bool:
        """Tell whether this pair has been checked before: bcrypt takes 70 ms on purpose."""
        return self._digest(user, password) in self._proven

    def check(self, user: str, password: str) -> bool:
        """Check a password; slow, so not in the event loop."""
        import bcrypt  # noqa: PLC0415 - half a MiB, and most exporters have no users

        known = self._config.users.get(user)
        try:
            right = bcrypt.checkpw(password.encode()[:72], (known or _NOBODY).encode())
        except ValueError:
            right = False
        if known is None or not right:
            return False
        if len(self._proven) >= _MOST_PROVEN:
            self._proven.clear()
        self._proven[self._digest(user, password)] = None
        return True

    def _digest(self, user: str, password: str) -> bytes:
        # With the hash of the user as it is now: a changed password is not proven any more.
        parts = (user, self._config.users.get(user, ""), password)
        return hmac.digest(self._salt, b"\0".join(part.encode() for part in parts), hashlib.sha256)


def read(path: str) -> WebConfig:
    """Read and check a file. Raises `ConfigError`."""
    document = load(path)
    found: dict[str, Any] = {}
    if document is None:
        return WebConfig(files=(path,))
    for key, place, content in document.items():
        if key == "tls_server_config":
            found |= _tls(content, os.path.dirname(path))
        elif key == "basic_auth_users":
            found["users"] = _users(content)
        elif key == "http_server_config":
            found["headers"] = _http(content)
        else:
            known = ("tls_server_config", "basic_auth_users", "http_server_config")
            raise place.error(f"unknown key {key!r}; {did_you_mean(key, known) or 'known are ' + ', '.join(known)}")
    return WebConfig(files=(path, *found.pop("files", ())), **found)


def _tls(content: Value, folder: str) -> dict[str, Any]:
    """Make a context of tls_server_config; names of files are relative to the configuration's folder."""
    given: dict[str, Value] = {}
    for key, place, item in content.items():
        if key not in _TLS_KEYS:
            raise place.error(f"unknown or unsupported key {key!r}; known are {', '.join(_TLS_KEYS)}")
        given[key] = item
    files = {key: os.path.join(folder, given[key].text()) for key in given if key.endswith("_file")}
    if not {"cert_file", "key_file"} <= files.keys():
        raise content.error("cert_file and key_file are both needed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _choice(given.get("min_version"), _VERSIONS, ssl.TLSVersion.TLSv1_2)
    if "max_version" in given:
        context.maximum_version = _choice(given["max_version"], _VERSIONS, ssl.TLSVersion.TLSv1_3)
    _load(given["cert_file"], lambda: context.load_cert_chain(files["cert_file"], files["key_file"]))
    if "client_ca_file" in files:
        _load(given["client_ca_file"], lambda: context.load_verify_locations(files["client_ca_file"]))
    context.verify_mode = _choice(given.get("client_auth_type"), _AUTH, ssl.CERT_NONE)
    if context.verify_mode != ssl.CERT_NONE and "client_ca_file" not in files:
        raise given["client_auth_type"].error("client_ca_file is needed to verify clients")
    if "cipher_suites" in given:
        _set_ciphers(context, given["cipher_suites"])
    sans = given["client_allowed_sans"].sequence() if "client_allowed_sans" in given else []
    return {"context": context, "files": tuple(files.values()), "allowed_sans": frozenset(one.text() for one in sans)}


def _load(place: Value, loading: Any) -> None:  # noqa: ANN401
    try:
        loading()
    except ssl.SSLError as error:
        raise place.error(f"not a certificate and its key: {error.reason or error}") from error
    except OSError as error:
        raise place.error(f"{place.text()}: {error.strerror or error}") from error


def _choice(content: Value | None, choices: Mapping[str, Any], default: Any) -> Any:  # noqa: ANN401
    if content is None:
        return default
    if content.text() not in choices:
        raise content.error(f"expected {' or '.join(choices)}, found {content.text()!r}")
    return choices[content.text()]


def _set_ciphers(context: ssl.SSLContext, content: Value) -> None:
    """Choose suites of TLS 1.2 by their IANA names; those of TLS 1.3 cannot be chosen, as in Go."""
    for item in content.sequence():
        if not _CIPHER.fullmatch(item.text()):
            raise item.error(f"{item.text()!r} is not the name of a TLS 1.2 cipher suite")
    names = [_openssl_name(item.text()) for item in content.sequence()]
    try:
        context.set_ciphers(":".join(names))
    except ssl.SSLError as error:
        raise content.error("none of these cipher suites is known") from error


def _openssl_name(name: str) -> str:
    """Turn TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 into ECDHE-RSA-AES128-GCM-SHA256."""
    exchange, cipher = name.removeprefix("TLS_").split("_WITH_")
    cipher = re.sub(r"(AES|CAMELLIA)_(\d+)", r"\1\2", cipher).replace("_CBC", "").removesuffix("_SHA256_POLY1305")
    prefix = "" if exchange == "RSA" else exchange + "_"
    return (prefix + cipher.replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305")).replace("_", "-")


def _users(content: Value) -> dict[str, str]:
    users = {}
    for name, place, password in content.items():
        if not name or ":" in name:
            raise place.error("a user's name has at least one character and no colon")
        if not _BCRYPT.fullmatch(password.text()):
            raise password.error(f"the password of {name!r} has to be a bcrypt hash ($2y$10$...)")
        users[name] = password.text()
    return users


def _http(content: Value) -> dict[str, str]:
    """Take the headers; ``http2`` is accepted and means nothing here: we speak HTTP/1.1."""
    headers = {}
    for key, place, item in content.items():
        if key == "http2":
            item.flag()
        elif key == "headers":
            for name, header, text in item.items():
                if not _HEADER.fullmatch(name) or not text.text().isprintable():
                    raise header.error(f"{name!r} is not a header with a value of one line")
                headers[name] = text.text()
        else:
            raise place.error(f"unknown key {key!r}; known are http2, headers")
    return headers


def _stamp(files: tuple[str, ...]) -> tuple[object, ...]:
    """Tell whether files changed, also when they were replaced within one tick of the clock."""

    def one(path: str) -> object:
        try:
            status = os.stat(path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    return tuple(map(one, files))
