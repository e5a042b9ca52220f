"""Option types that several commands share."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

Flag = Annotated[bool, Parameter(negative="", show_default=False)]
"""An option that is there or not."""
Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False)]
"""Print JSON, and nothing else, on stdout."""
