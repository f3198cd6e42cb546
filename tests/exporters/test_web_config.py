"""``--web.config.file``: what is accepted, what is refused and where, and changes while we run."""

from __future__ import annotations

import ssl
from pathlib import Path

import bcrypt
import pytest

from cgscope.yamlfile import ConfigError
from exporters.web_config import WebConfigFile, read

# Cost 4, the least: these tests are about what is checked, not about how long it takes.
HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
TLS = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"


def test_tls_as_the_toolkit_writes_it(web: Path) -> None:
    """Files are relative to the configuration's folder; TLS 1.2 is the least unless said."""
    web.write_text(
        TLS + "  min_version: TLS13\n  client_auth_type: NoClientCert\nhttp_server_config:\n  http2: false\n"
    )
    config = read(str(web))
    assert config.context is not None
    assert config.context.minimum_version is ssl.TLSVersion.TLSv1_3
    web.write_text(TLS)
    found = read(str(web)).context
    assert found is not None
    assert found.minimum_version is ssl.TLSVersion.TLSv1_2


def test_cipher_suites_by_their_iana_names(web: Path) -> None:
    """A list of suites leaves only these for TLS 1.2."""
    names = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"]
    web.write_text(TLS + f"  cipher_suites: [{', '.join(names)}]\n")
    context = read(str(web)).context
    assert context is not None
    chosen = {one["name"] for one in context.get_ciphers() if one["protocol"] != "TLSv1.3"}
    assert chosen == {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tls: {}\n", "1:1: unknown key 'tls'"),
        ("tls_server_config:\n  cert_file: cert.pem\n", "2:3: cert_file and key_file are both needed"),
        ("tls_server_config: {cert_file: no.pem, key_file: key.pem}\n", "1:32: no.pem: No such file"),
        ("tls_server_config: {cert_file: web.yml, key_file: key.pem}\n", "1:32: not a certificate"),
        (TLS + "  min_version: TLS10\n", "4:16: expected TLS12 or TLS13, found 'TLS10'"),
        (TLS + "  client_auth_type: RequireAndVerifyClientCert\n", "4:21: client_ca_file is needed"),
        (TLS + "  client_auth_type: RequireAnyClientCert\n", "4:21: expected NoClientCert or"),
        (TLS + "  curve_preferences: [X25519]\n", "4:3: unknown or unsupported key"),
        (TLS + "  cipher_suites: [NONSENSE]\n", "4:19: 'NONSENSE' is not the name"),
        ("basic_auth_users:\n  me: secret\n", "2:7: the password of 'me' has to be a bcrypt hash"),
        ("basic_auth_users:\n  'a:b': x\n", "2:3: a user's name"),
        ("http_server_config:\n  headers:\n    'X Y': z\n", "3:5: 'X Y' is not a header"),
        ('http_server_config:\n  headers:\n    X: "a\\r\\nb"\n', "3:5: 'X' is not a header"),
        ("http_server_config:\n  http3: true\n", "2:3: unknown key 'http3'"),
    ],
)
def test_mistakes_are_located(web: Path, text: str, expected: str) -> None:
    """A setting that we do not follow is an error, never ignored: somebody relies on it."""
    web.write_text(text)
    with pytest.raises(ConfigError) as error:
        read(str(web))
    assert str(error.value).startswith(f"{web}:{expected}")


def test_passwords(web: Path) -> None:
    """The right one opens and is remembered; wrong ones and unknown users are refused."""
    web.write_text(f"basic_auth_users:\n  me: {HASH}\n")
    file = WebConfigFile(str(web))
    assert not file.is_proven("me", "secret")
    assert not file.check("me", "wrong")
    assert not file.check("nobody", "secret")
    assert file.check("me", "secret")
    assert file.is_proven("me", "secret")
    assert not file.is_proven("me", "wrong")


def test_a_changed_password_counts_at_once(web: Path) -> None:
    """What was proven with the old file is not proven with the new one."""
    web.write_text(f"basic_auth_users:\n  me: {HASH}\n")
    file = WebConfigFile(str(web))
    assert file.check("me", "secret")
    web.write_text(f"basic_auth_users:\n  me: {bcrypt.hashpw(b'new', bcrypt.gensalt(4)).decode()}\n# longer\n")
    file.current()
    assert not file.is_proven("me", "secret")
    assert not file.check("me", "secret")
    assert file.check("me", "new")


def test_a_file_that_became_wrong_changes_nothing(web: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is locked out, and nobody let in, by a slip of the editor; it is logged once."""
    web.write_text(f"basic_auth_users:\n  me: {HASH}\n")
    file = WebConfigFile(str(web))
    web.write_text("basic_auth_users:\n  me: not a hash\n")
    assert file.current().users == {"me": HASH}
    assert file.current().users == {"me": HASH}
    assert len(caplog.records) == 1


def test_a_new_certificate_is_taken(web: Path, pair: Path) -> None:
    """Certificates are replaced while we run: the next connection gets the new one."""
    web.write_text(TLS)
    file = WebConfigFile(str(web))
    before = file.current().context
    (web.parent / "next.pem").write_bytes((pair / "cert.pem").read_bytes())
    (web.parent / "next.pem").rename(web.parent / "cert.pem")
    assert file.current().context is not before
    assert file.current().context is file.current().context
