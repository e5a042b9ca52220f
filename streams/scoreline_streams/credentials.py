"""Who the worker is to Kafka, as Faust wants it told: its consumer is aiokafka, not librdkafka."""

from __future__ import annotations

from faust import SASLCredentials, SSLCredentials

from scoreline.errors import SettingsError
from scoreline.security import protocol_of, ssl_context
from scoreline.settings import Settings

_OF_LIBRDKAFKA = ("security.", "sasl.", "ssl.")


def credentials(settings: Settings) -> SASLCredentials | SSLCredentials | None:
    """What Faust's `broker_credentials` takes; None where brokers are spoken to in the open.

    Raises SettingsError: as `ssl_context`, or `kafka_options` say it to librdkafka alone.
    """
    alone = sorted(name for name in settings.kafka_options if name.startswith(_OF_LIBRDKAFKA))
    if alone:
        raise SettingsError(
            f"SCORELINE_KAFKA_OPTIONS: {', '.join(alone)} would not reach the worker's consumer, which is not "
            "librdkafka's; use SCORELINE_KAFKA_CA, SCORELINE_KAFKA_USER and SCORELINE_KAFKA_PASSWORD, "
            "SCORELINE_KAFKA_CERTIFICATE and SCORELINE_KAFKA_KEY"
        )
    match protocol_of(settings):
        case "PLAINTEXT":
            return None
        case "SSL":
            return SSLCredentials(ssl_context(settings))
        case "SASL_SSL":
            assert settings.kafka_password is not None
            return SASLCredentials(
                username=settings.kafka_user,
                password=settings.kafka_password.get_secret_value(),
                mechanism=settings.kafka_sasl_mechanism,
                ssl_context=ssl_context(settings),
            )
