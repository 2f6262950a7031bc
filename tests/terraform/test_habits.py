"""What must hold before anybody plans; formatting, validity and the native tests are gates of `make policy`."""

from collections.abc import Callable
from typing import Any

from scripts.common import paths


def test_lock_file_holds_hashes_for_every_platform() -> None:
    lock = (paths.TERRAFORM / ".terraform.lock.hcl").read_text(encoding="utf-8")
    assert lock.count('"zh:') >= 10, (
        "run: terraform providers lock -platform=linux_amd64 -platform=darwin_arm64 ..."
    )


def test_no_line_is_longer_than_120_characters() -> None:
    files = [path for ending in ("tf", "tfvars", "hcl") for path in paths.TERRAFORM.rglob(f"*.{ending}")]
    assert [
        f"{path.relative_to(paths.ROOT)}:{number}"
        for path in files
        if ".terraform" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 120
    ] == []


def test_every_variable_and_output_says_what_it_is(without_model: dict[str, Any]) -> None:
    root = without_model["configuration"]["root_module"]
    silent = [
        name
        for kind in ("variables", "outputs")
        for name, it in root[kind].items()
        if not it.get("description")
    ]
    assert silent == []
    assert len(root["variables"]) <= 18, "few inputs: think twice before adding one"


def test_tags_reach_every_resource_that_takes_them(
    organisation: dict[str, Any], planned: Callable[..., Any]
) -> None:
    resources = planned(organisation)
    tagged = {
        address: after["tags_all"] for address, after in resources.items() if after and "tags_all" in after
    }
    assert len(tagged) > 20
    wanted = {"owner": "vision", "project": "scones", "environment": "dev", "managed_by": "terraform"}
    assert {address: tags for address, tags in tagged.items() if tags != wanted} == {}
