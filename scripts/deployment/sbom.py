"""A function's zip as a CycloneDX 1.6 bill of materials (https://cyclonedx.org/docs/1.6/json/).

The same zip gives the same bill: it carries no time, and its serial number comes from the zip's
hash.
"""

import hashlib
import json
import uuid
import zipfile
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from scripts.deployment.licences import declared


def bill(function: str, package: bytes, wheels: Iterable[Path]) -> bytes:
    """The bill of a zip with the function's own sources and these wheels, or parts of them."""
    digest = hashlib.sha256(package).hexdigest()
    subject = {
        "bom-ref": function,
        "type": "application",
        "name": function,
        "version": digest[:12],
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }
    components = [_library(wheel) for wheel in wheels]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        "metadata": {"component": subject},
        "components": components,
        "dependencies": [{"ref": function, "dependsOn": [it["bom-ref"] for it in components]}],
    }
    return f"{json.dumps(document, indent=1)}\n".encode()


def _library(wheel: Path) -> dict[str, Any]:
    """One wheel: its name, version, licence and hash as locked. Raises licences.UnknownLicence."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(it for it in archive.namelist() if it.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode("utf-8"))
    locator = f"pkg:pypi/{metadata['Name'].lower().replace('_', '-')}@{metadata['Version']}"
    return {
        "bom-ref": locator,
        "type": "library",
        "name": metadata["Name"],
        "version": metadata["Version"],
        "licenses": [{"expression": declared(metadata)}],
        "purl": locator,
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}],
    }
