"""Opens the provider of root keys that a URL names."""

from pathlib import Path

from zegel_server.crypto.local_keyring import LocalKeyring
from zegel_server.crypto.root_keys import RootKeys

__all__ = ["open_root_keys"]


def open_root_keys(url: str) -> RootKeys:
    """Open a provider of root keys.

    Args:
        url: ``local:<path of the keyring file>``; a PKCS#11 URI such as
            ``pkcs11:token=zegel?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secrets/pin``;
            ``aws-kms:<namespace>?region=<name>``; or ``vault://host:port/<mount>?token-file=/run/secrets/token``.

    Raises:
        ValueError: The URL is of another kind, or malformed, or a package that it needs is not installed.
    """
    scheme, _, rest = url.partition(":")
    match scheme:
        case "local" if rest:
            return LocalKeyring(Path(rest))
        case "pkcs11":
            try:
                from zegel_server.crypto.pkcs11 import open_pkcs11  # noqa: PLC0415 - needs an optional extra
            except ImportError:
                raise ValueError("a PKCS#11 key provider needs zegel-server[pkcs11]") from None
            return open_pkcs11(url)
        case "aws-kms":
            try:
                from zegel_server.crypto.aws_kms import open_aws_kms  # noqa: PLC0415 - needs an optional extra
            except ImportError:
                raise ValueError("an AWS KMS key provider needs zegel-server[aws-kms]") from None
            return open_aws_kms(url)
        case "vault" | "vault+http":
            try:
                from zegel_server.crypto.vault_transit import open_vault  # noqa: PLC0415 - needs an optional extra
            except ImportError:
                raise ValueError("a Vault key provider needs zegel-server[vault]") from None
            return open_vault(url)
        case _:
            raise ValueError("a key provider's URL begins with local:, pkcs11:, aws-kms: or vault:")
