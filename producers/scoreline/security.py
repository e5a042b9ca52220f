"""Who we are to Kafka and whom we trust, as librdkafka, Python's ssl and ClickHouse's driver want it told."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Literal

from pydantic import SecretStr

from scoreline.errors import SettingsError

if TYPE_CHECKING:
    from scoreline.settings import Settings

Protocol = Literal["PLAINTEXT", "SSL", "SASL_SSL"]


def protocol_of(settings: Settings) -> Protocol:
    """How brokers are spoken to: in the open only where nothing is said of authorities, users or certificates."""
    if settings.kafka_user is not None:
        return "SASL_SSL"
    return "SSL" if settings.kafka_ca or settings.kafka_certificate else "PLAINTEXT"


def security_options(settings: Settings) -> dict[str, str]:
    """librdkafka's options for it; none where brokers are spoken to in the open.

    The brokers' certificates have to be for the host names by which they are asked (librdkafka's default).
    """
    protocol = protocol_of(settings)
    if protocol == "PLAINTEXT":
        return {}
    options = {
        "security.protocol": protocol,
        "ssl.ca.location": str(settings.kafka_ca) if settings.kafka_ca else None,
        "ssl.certificate.location": str(settings.kafka_certificate) if settings.kafka_certificate else None,
        "ssl.key.location": str(settings.kafka_key) if settings.kafka_key else None,
        "ssl.key.password": _text(settings.kafka_key_password),
    }
    if protocol == "SASL_SSL":
        options |= {
            "sasl.mechanism": settings.kafka_sasl_mechanism,
            "sasl.username": settings.kafka_user,
            "sasl.password": _text(settings.kafka_password),
        }
    return {name: value for name, value in options.items() if value is not None}


def ssl_context(settings: Settings) -> ssl.SSLContext:
    """The same for a client that speaks TLS by Python's ssl.

    Raises SettingsError: a file holds no certificate or key, or the two do not belong together.
    """
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca)
        if settings.kafka_certificate is not None:
            # A callable, since for None OpenSSL would ask for the password at the terminal.
            password = _text(settings.kafka_key_password) or ""
            context.load_cert_chain(settings.kafka_certificate, settings.kafka_key, lambda: password)
    except OSError as error:
        raise SettingsError(
            f"SCORELINE_KAFKA_CA, SCORELINE_KAFKA_CERTIFICATE and SCORELINE_KAFKA_KEY name PEM files that cannot be "
            f"used ({error}); give the authorities' certificates, our own, and its key"
        ) from error
    return context


def ca_of(settings: Settings) -> str | None:
    """Whom ClickHouse's certificate has to be signed by, as its driver takes it; None: those that the system trusts."""
    return str(settings.clickhouse_ca) if settings.clickhouse_ca else None


def fault_of_tls(error: BaseException) -> str | None:
    """What is wrong with the settings when a connection to ClickHouse failed in TLS; None: it failed otherwise."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted ({cause.verify_message}); name whoever signed it by "
                "SCORELINE_CLICKHOUSE_CA, and the host as the certificate does by SCORELINE_CLICKHOUSE_HOST"
            )
        if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
            return "no TLS is spoken there; correct SCORELINE_CLICKHOUSE_PORT or SCORELINE_CLICKHOUSE_SECURE"
        cause = _behind(cause)
    return None


def _behind(error: BaseException) -> BaseException | None:
    """The error that led to this one; urllib3 keeps it as `reason`."""
    reason = getattr(error, "reason", None)
    return error.__cause__ or error.__context__ or (reason if isinstance(reason, BaseException) else None)


def _text(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
