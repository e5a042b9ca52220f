"""Every error that scoreline raises.

    ScorelineError
    ├── PermanentError               doing the same again cannot help
    │   ├── SettingsError            a setting is missing or wrong; the message names it and the remedy
    │   ├── InvalidScore             a score breaks a rule of the contract; carries the `Rejection`
    │   ├── MalformedRecord          bytes that are no score config, no lookup or no enriched score
    │   ├── ConflictingChange        somebody else changed the config or lookup since it was read
    │   ├── TopicError               a topic is missing or was created otherwise than declared
    │   ├── SchemaError              the ClickHouse schema is missing, older or altered
    │   ├── StateError               a state directory or changelog contradicts the topic
    │   ├── PlanError                a sink plan cannot be replayed as it was written
    │   ├── ConflictingOwner         another process took over this partition, producer or plan
    │   ├── RequestRefused           the gateway does not take an HTTP request; carries the status to answer with
    │   ├── QueryError               a question that cannot be asked; the message lists what can
    │   └── StackError               the local stack cannot start; the message names the port or file
    └── RetryableError               the same call can succeed later
        ├── KafkaUnavailable
        ├── ClickHouseUnavailable
        └── QueueFull                the client's queue is full: backpressure

A caller that only wants to know whether to try again asks for the branch. Errors of confluent-kafka,
clickhouse-connect and pydantic are translated where they enter, with the cause kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scoreline.rejections import Rejection


class ScorelineError(Exception):
    """Base of every error that scoreline raises."""


class PermanentError(ScorelineError):
    """Doing the same again cannot help."""


class RetryableError(ScorelineError):
    """The same call can succeed later."""


class SettingsError(PermanentError):
    """A setting is missing or wrong; the message names it and the remedy."""


class InvalidScore(PermanentError):
    """A score breaks a rule of the contract."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(f"{rejection.reason}: {rejection.detail}")
        self.rejection = rejection


class MalformedRecord(PermanentError):
    """Bytes that are no score config, no lookup or no enriched score; the message names the field."""


class ConflictingChange(PermanentError):
    """Somebody else changed the config or lookup since it was read; nothing of this change was stored."""


class TopicError(PermanentError):
    """A topic is missing or was created otherwise than declared."""


class SchemaError(PermanentError):
    """The ClickHouse schema is missing, older than this release or altered."""


class StateError(PermanentError):
    """A state directory or changelog contradicts the topic it belongs to."""


class PlanError(PermanentError):
    """A sink plan cannot be replayed as it was written: the topic no longer holds what it names."""


class ConflictingOwner(PermanentError):
    """Another process took over this partition, producer or plan."""


class QueryError(PermanentError):
    """A question that cannot be asked; the message lists what can."""


class RequestRefused(PermanentError):
    """The gateway does not take an HTTP request: the client has to change it, or to wait `retry_after_s`."""

    def __init__(
        self, status: int, code: str, message: str, remedy: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.remedy = status, code, message, remedy
        self.retry_after_s = retry_after_s


class StackError(PermanentError):
    """The local stack cannot start; the message names the port, the file or the log."""


class KafkaUnavailable(RetryableError):
    """No broker answered."""


class ClickHouseUnavailable(RetryableError):
    """ClickHouse did not answer, or answered that it cannot work now."""


class QueueFull(RetryableError):
    """The client's queue or spool takes no more, after the wait that the caller chose; the score was not taken."""
