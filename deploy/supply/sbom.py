"""A software bill of materials in CycloneDX 1.6, the same for the same lock."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from importlib.metadata import distribution
from typing import Any

from deploy.supply.packages import PROJECT, Package


def bill(packages: Sequence[Package], direct: Sequence[str]) -> dict[str, Any]:
    """The bill of `packages`; `direct` are the names of those that scoreline needs itself."""
    found = distribution(PROJECT)
    own = f"pkg:pypi/{PROJECT}@{found.version}"
    refs = {package.name: package.purl for package in packages}
    identity = "\n".join(sorted(refs.values()))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, own + identity)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": PROJECT,
                "version": found.version,
                "purl": own,
                "licenses": [{"expression": found.metadata["License-Expression"]}],
            }
        },
        "components": [
            {
                "type": "library",
                "bom-ref": package.purl,
                "name": package.name,
                "version": package.version,
                "purl": package.purl,
                "licenses": [{"expression": package.licence}],
                "properties": [{"name": "scoreline:extras", "value": ",".join(package.extras)}],
            }
            for package in packages
        ],
        "dependencies": [
            {"ref": own, "dependsOn": sorted(refs[name] for name in direct if name in refs)},
            *(
                {"ref": package.purl, "dependsOn": sorted(refs[name] for name in package.needs if name in refs)}
                for package in packages
            ),
        ],
    }
