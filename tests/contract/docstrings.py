"""The sentences that stand below a field or a member in its class's source."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap

_NONE = re.compile(r"\bNone\b")


def documented(cls: type) -> dict[str, str]:
    """Field or member → what its docstring says, on one line, None as null; those without one are absent."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    name: str | None = None
    for statement in body.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and name is not None:
            found[name] = _NONE.sub("null", " ".join(str(statement.value.value).split()))
        name = _assigned(statement)
    return found


def _assigned(statement: ast.stmt) -> str | None:
    match statement:
        case ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]):
            return name
        case _:
            return None
