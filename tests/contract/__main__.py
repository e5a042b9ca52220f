"""Write what is generated under docs/: the schemas, the AsyncAPI document and the tables of contract.md."""

from __future__ import annotations

import sys

from tests.contract.files import ROOT, generated


def main() -> None:
    for path, text in generated().items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
