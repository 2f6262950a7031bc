"""The functions' packages: the same to the bit, for the right machine, small, and complete."""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts.deployment import packages
from scripts.deployment.licences import locked

ROOT = packages.ROOT
ELF_MACHINES = {"arm64": 0xB7, "x86_64": 0x3E}


@pytest.fixture(scope="module")
def built():
    """The folder of each target's packages, as `make package` leaves them."""
    return {name: packages.build(name, lambda text: None).parent for name in packages.targets()}


@pytest.fixture
def copy(built, tmp_path):
    """Another checkout of the sources with other file times, and with wheels but no packages."""
    unwanted = shutil.ignore_patterns("__pycache__")
    for folder in ("functions", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=unwanted, copy_function=shutil.copyfile)
    shutil.copytree(ROOT / "build" / "wheels", tmp_path / "build" / "wheels")
    for path in (tmp_path / "functions").rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (tmp_path / "functions" / "common" / "__pycache__").mkdir()
    (tmp_path / "functions" / "common" / "__pycache__" / "errors.cpython-311.pyc").write_bytes(b"stale")
    return tmp_path


def package_from(folder, target, **environment):
    return subprocess.run(
        [sys.executable, "-m", "scripts.deployment.packages", "--target", target],
        cwd=folder,
        env=os.environ | environment,
        umask=0o077,
        capture_output=True,
        text=True,
        check=False,
    )


# What keeps pip from every index and folder of wheels that this machine may offer.
NO_INDEX = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_FIND_LINKS": "",
    "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
    "PIP_RETRIES": "0",
    "PIP_NO_CACHE_DIR": "1",
}


def contents(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def archives(folder):
    return {path.stem: zipfile.ZipFile(path) for path in sorted(folder.glob("*.zip"))}


def shared_libraries(archive):
    return {name: archive.read(name) for name in archive.namelist() if re.search(r"\.so(\.|$)", name)}


@pytest.mark.parametrize("target", ["aws", "local"])
def test_packages_are_the_same_to_the_byte(built, copy, target):
    """From another checkout, with another umask, at another time, without any index."""
    done = package_from(copy, target, **NO_INDEX)

    assert done.returncode == 0, done.stderr
    assert contents(copy / "build" / target) == contents(built[target])


def test_packaging_again_touches_nothing(built):
    def times():
        return {path: path.stat().st_mtime_ns for path in built["aws"].iterdir()}

    before = times()
    reported = []

    packages.build("aws", reported.append)

    assert times() == before
    assert all(text.endswith("unchanged") for text in reported)


def test_a_changed_source_changes_only_the_packages_that_hold_it(built, copy):
    labels = copy / "functions" / "common" / "labels.py"
    labels.write_text(labels.read_text("utf-8") + "# changed\n", "utf-8")

    package_from(copy, "aws", **NO_INDEX)

    before, after = contents(built["aws"]), contents(copy / "build" / "aws")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"classify_image.zip", "classify_image.cdx.json", "manifest.json"}


@pytest.mark.parametrize("target", ["aws", "local"])
def test_the_manifest_is_true(built, target):
    manifest = json.loads((built[target] / "manifest.json").read_text("utf-8"))

    assert manifest["functions"] == {
        path.stem: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
        for path in built[target].glob("*.zip")
    }
    assert sorted(manifest["functions"]) == sorted(
        path.parent.name for path in (ROOT / "functions").glob("*/handler.py")
    )


@pytest.mark.parametrize("target", ["aws", "local"])
def test_each_zip_has_a_bill_of_what_it_holds(built, target):
    """CycloneDX 1.6: https://cyclonedx.org/docs/1.6/json/"""
    for path in built[target].glob("*.zip"):
        bill = json.loads(path.with_suffix(".cdx.json").read_text("utf-8"))
        assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
        assert (
            bill["metadata"]["component"]["hashes"][0]["content"]
            == hashlib.sha256(path.read_bytes()).hexdigest()
        )

        lock = ROOT / "functions" / path.stem / "requirements.txt"
        assert {it["name"].lower().replace("_", "-"): it["version"] for it in bill["components"]} == locked(
            lock
        )
        hashes = {it["hashes"][0]["content"] for it in bill["components"]}
        assert all(f"sha256:{digest}" in lock.read_text("utf-8") for digest in hashes)
        assert all(it["licenses"][0]["expression"] for it in bill["components"])


def test_each_target_names_its_runtime(built):
    aws, local = (json.loads((built[name] / "manifest.json").read_text("utf-8")) for name in ("aws", "local"))

    assert (aws["runtime"], aws["architecture"]) == ("python3.13", "arm64")
    assert local["runtime"] == f"python3.{min(sys.version_info[1], 13)}"
    assert local["architecture"] in ELF_MACHINES


@pytest.mark.parametrize("target", ["aws", "local"])
def test_every_archive_is_sound_and_carries_no_traces_of_its_making(built, target):
    for archive in archives(built[target]).values():
        names = archive.namelist()
        assert archive.testzip() is None
        assert names == sorted(set(names))
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.external_attr for info in archive.infolist()} == {0o100644 << 16}
        assert not [name for name in names if name.endswith((".pyc", ".pyi", "RECORD", "INSTALLER", "/"))]


@pytest.mark.parametrize("target", ["aws", "local"])
def test_packages_are_small_and_hold_no_aws_sdk(built, target):
    for name, archive in archives(built[target]).items():
        limit = 1_500_000 if name != "serialize_image_data" else 5_000_000
        assert (built[target] / f"{name}.zip").stat().st_size <= limit
        assert not [
            entry for entry in archive.namelist() if entry.startswith(("boto", "s3transfer", "numpy"))
        ]


def test_packages_hold_the_common_modules_that_they_import_and_no_others(built):
    held = {
        name: {Path(entry).stem for entry in archive.namelist() if entry.startswith("functions/common/")}
        - {"__init__"}
        for name, archive in archives(built["aws"]).items()
    }

    always = {"errors", "settings", "shown", "telemetry"}
    assert held == {
        "classify_image": always | {"aws", "inference_id", "labels"},
        "filter_inferences": always,
        "report_drift": always | {"aws", "baseline", "times"},
        "send_alert": always | {"aws", "batch_results", "times"},
        "serialize_image_data": always | {"aws", "picture"},
    }


@pytest.mark.skipif(platform.system() != "Linux", reason="other systems have no ELF files")
@pytest.mark.parametrize("target", ["aws", "local"])
def test_every_shared_library_is_for_the_targets_machine(built, target):
    architecture = json.loads((built[target] / "manifest.json").read_text("utf-8"))["architecture"]
    libraries = shared_libraries(archives(built[target])["serialize_image_data"])

    assert len(libraries) > 5
    for name, content in libraries.items():
        assert content.startswith(b"\x7fELF"), name
        assert int.from_bytes(content[18:20], "little") == ELF_MACHINES[architecture], name


def test_no_shared_library_asks_for_more_than_lambdas_glibc_2_34(built):
    for name, content in shared_libraries(archives(built["aws"])["serialize_image_data"]).items():
        assert max(map(int, re.findall(rb"GLIBC_2\.(\d+)", content)), default=0) <= 34, name


@pytest.mark.parametrize("target", ["aws", "local"])
def test_no_shared_library_misses_another_that_was_left_out(built, target):
    libraries = shared_libraries(archives(built[target])["serialize_image_data"])
    present = {Path(name).name for name in libraries}

    for name, content in libraries.items():
        needed = {found.decode() for found in re.findall(rb"lib[\w+-]+-[0-9a-f]{8}\.so[.\d]*", content)}
        assert needed <= present, name


@pytest.mark.parametrize("function", packages.FUNCTIONS)
def test_a_handler_imports_from_its_package_alone(built, tmp_path, function):
    archives(built["local"])[function].extractall(tmp_path)

    # -S: no site-packages, so whatever is missing in the package is missing.
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import functions.{function}.handler as handler; "
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{code}print(handler.lambda_handler.__name__)"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "lambda_handler\n", done.stderr


def test_the_packaged_decoder_reads_every_format(built, tmp_path):
    archives(built["local"])["serialize_image_data"].extractall(tmp_path)
    code = f"""
import io, sys
sys.path.insert(0, {str(tmp_path)!r})
from PIL import Image
from functions.common.picture import encode_png, read_picture, statistics
for format in ("JPEG", "PNG", "WEBP"):
    file = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(file, format)
    picture = read_picture(file.getvalue(), 32)
    assert encode_png(picture.image) and statistics(picture.image).contrast > 0.1
    print(picture.format)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )

    assert done.stdout.split() == ["JPEG", "PNG", "WEBP"], done.stderr


def test_templates_are_packed_with_send_alert(built):
    names = archives(built["aws"])["send_alert"].namelist()

    assert {path.name for path in (ROOT / "functions" / "send_alert" / "templates").iterdir()} == {
        Path(name).name for name in names if name.startswith("functions/send_alert/templates/")
    }


@pytest.mark.parametrize("function", packages.FUNCTIONS)
def test_a_lock_file_pins_what_the_project_itself_runs_with(function):
    def pins(path):
        return set(re.findall(r"^([\w.-]+==\S+)", path.read_text("utf-8"), re.MULTILINE))

    lock = ROOT / "functions" / function / "requirements.txt"

    assert pins(lock)
    assert pins(lock) <= pins(ROOT / "requirements" / "run.txt")
    # pip evaluates markers for the interpreter that runs it, not for the target.
    assert ";" not in lock.read_text("utf-8")
    assert "://" not in lock.read_text("utf-8")


def test_an_unknown_target_is_refused_with_the_known_ones(copy):
    done = package_from(copy, "moon")

    assert done.returncode == 1
    assert done.stderr == "error: There is no target 'moon'; use one of: aws, local.\n"


def test_a_wheel_that_is_not_the_pinned_one_is_refused(copy):
    wheel = next((copy / "build" / "wheels").glob("*aarch64*/jmespath-*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"!")

    done = package_from(copy, "aws")

    assert done.returncode == 1
    assert "is not what" in done.stderr
    assert wheel.name in done.stderr


def test_without_an_index_the_error_says_what_to_check(copy):
    """No half-made cache is left behind."""
    shutil.rmtree(copy / "build" / "wheels")

    done = package_from(copy, "aws", **NO_INDEX)

    assert done.returncode == 1
    assert "The package index cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((copy / "build" / "wheels").iterdir()) == []
