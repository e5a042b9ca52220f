"""`python -m deploy.helm` writes what is generated of the chart; the manifests only where there is a `helm`."""

from __future__ import annotations

import sys

from deploy.helm.generate import KAFKA, README, RENDERED, SETS, helm, kafka_text, readme_text, render


def main() -> int:
    KAFKA.write_text(kafka_text())
    README.write_text(readme_text())
    if helm() is None:
        sys.stderr.write("helm is not installed: the manifests under deploy/helm/rendered are left as they are\n")
        return 1
    for name, values in SETS.items():
        (RENDERED / f"{name}.yaml").write_text(render(values))
    return 0


if __name__ == "__main__":
    sys.exit(main())
