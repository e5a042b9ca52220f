"""`make sbom`: writes build/sbom.json and docs/licences.md; exit status 1 when a licence is not allowed."""

from __future__ import annotations

import json
import sys

from deploy.supply.licences import DOCUMENT, document, refused
from deploy.supply.packages import ROOT, direct_needs, runtime_packages
from deploy.supply.sbom import bill


def main() -> int:
    packages = runtime_packages()
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    (build / "sbom.json").write_text(json.dumps(bill(packages, direct_needs()), indent=1) + "\n")
    DOCUMENT.write_text(document(packages))
    sys.stdout.write(f"{len(packages)} packages: build/sbom.json, docs/licences.md\n")
    for line in refused(packages):
        sys.stderr.write(f"licence not allowed: {line}\n")
    return 1 if refused(packages) else 0


if __name__ == "__main__":
    sys.exit(main())
