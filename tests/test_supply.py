"""What an installation brings: locked, licensed as we accept it, and told in a bill of materials."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest
from deploy.supply.licences import DOCUMENT, document, refused
from deploy.supply.packages import Package, direct_needs, locked, runtime_packages
from deploy.supply.sbom import bill

from tests.documents import ROOT


@pytest.fixture(scope="module")
def packages() -> list[Package]:
    return runtime_packages()


def test_every_licence_is_one_that_we_accept(packages: list[Package]) -> None:
    """A new dependency with another licence, or with none that is understood, is a decision of a person."""
    assert refused(packages) == []


@pytest.mark.parametrize(
    "licence", ["GPL-3.0-only", "AGPL-3.0-or-later", "unknown", "MIT AND SSPL-1.0", "MIT OR X-1.1"]
)
def test_other_licences_are_refused(licence: str) -> None:
    """The check itself can fail; of alternatives all have to be allowed, so that nobody has to choose."""
    assert refused([Package("p", "1", licence, (), ("base",))]) == [f"p: {licence}"]


def test_licences_document_is_up_to_date(packages: list[Package]) -> None:
    """`make sbom` writes it; other Pythons bring some other packages."""
    if (sys.platform, platform.python_version_tuple()[:2]) != ("linux", ("3", "11")):
        pytest.skip("written for Linux with Python 3.11")
    assert DOCUMENT.read_text() == document(packages), "run make sbom"


def test_bill_names_every_package_once_with_version_licence_and_needs(packages: list[Package]) -> None:
    """CycloneDX: every reference resolves, the versions are the lock's, and it is the same every time."""
    made = bill(packages, direct_needs())
    assert made == bill(packages, direct_needs())
    versions = locked()
    listed = {component["name"]: component["version"] for component in made["components"]}
    assert listed.items() <= versions.items()
    assert {
        "confluent-kafka",
        "faust-streaming",
        "aiokafka",
        "clickhouse-connect",
        "nicegui",
        "uvicorn",
    } <= listed.keys()
    refs = {component["bom-ref"] for component in (made["metadata"]["component"], *made["components"])}
    assert {entry["ref"] for entry in made["dependencies"]} == refs
    reached = {need for entry in made["dependencies"] for need in entry["dependsOn"]}
    assert reached == {component["bom-ref"] for component in made["components"]}


def test_command_writes_both() -> None:
    """As `make sbom` runs it; the document does not change by it."""
    before = DOCUMENT.read_text()
    subprocess.run([sys.executable, "-m", "deploy.supply"], cwd=ROOT, check=True, capture_output=True)
    written = json.loads((ROOT / "build" / "sbom.json").read_text())
    assert (written["bomFormat"], written["specVersion"]) == ("CycloneDX", "1.6")
    assert DOCUMENT.read_text() == before
