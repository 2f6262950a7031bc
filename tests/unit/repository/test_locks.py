"""Nothing is installed without a hash: the lock files, and whatever installs them."""

import importlib.metadata
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
LOCKS = [
    *sorted((ROOT / "requirements").glob("*.txt")),
    *sorted((ROOT / "functions").glob("*/requirements.txt")),
    ROOT / "training_scripts" / "serving-requirements.txt",
]
JOB, TRAIN = ROOT / "requirements" / "job.txt", ROOT / "requirements" / "train.txt"
INSTALLING = [
    ROOT / "Makefile",
    ROOT / "training_scripts" / "Dockerfile",
    *sorted((ROOT / ".github" / "workflows").glob("*.yml")),
    ROOT / ".ci" / "run",
]


def locked(lock):
    """(requirement, its hashes) of a lock file."""
    text = re.sub(r"^#.*$", "", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for entry in text.replace("\\\n", " ").split("\n"):
        if entry.strip():
            words = entry.split(" --hash=")
            yield Requirement(words[0].strip()), [word.strip() for word in words[1:]]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.relative_to(ROOT).as_posix())
def test_every_package_is_pinned_and_has_hashes(lock):
    for requirement, hashes in locked(lock):
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), requirement


@pytest.mark.parametrize("locks", [(JOB,), (JOB, TRAIN)], ids=["a training job's", "training's here"])
def test_what_a_list_s_packages_need_is_in_the_list(locks):
    """Of those that are installed here, whose needs are known without asking a registry."""
    names = {canonicalize_name(requirement.name) for lock in locks for requirement, _ in locked(lock)}
    looked_at = 0
    for name in names:
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        looked_at += 1
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert canonicalize_name(need.name) in names, f"{name} needs {need}"

    assert looked_at > 5


def test_the_lists_of_training_do_not_overlap():
    """Each package is pinned once, so `make lock` cannot leave two versions of it."""
    names = [
        canonicalize_name(requirement.name)
        for lock in (JOB, TRAIN, ROOT / "requirements" / "torch.txt")
        for requirement in {each.name: each for each, _ in locked(lock)}.values()
    ]

    assert sorted(names) == sorted(set(names))


def test_pip_installs_nothing_without_hashes_but_this_project_itself():
    commands = [
        line.strip()
        for file in INSTALLING
        for line in file.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        if re.search(r"\$\(INSTALL\)|pip3? install|pipx|uvx?\b.*install", line)
        and not line.startswith(("#", "INSTALL"))
    ]

    assert len(commands) >= 5
    for command in commands:
        installs = re.findall(r"\$\(INSTALL\)|pip install", command)
        hashed = command.count("--require-hashes") + command.count(
            "--no-deps --no-build-isolation --editable ."
        )
        assert len(installs) == hashed, command
