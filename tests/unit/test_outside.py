"""What comes from outside stays data: rules that hold for every module, read from its source."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
TREES = {
    path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8"))
    for folder in ("functions", "scripts", "training_scripts")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "tests" not in path.parts
}


def called(node):
    """The name of the function or method that a node calls; nothing for other nodes."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def places(is_wrong, trees=TREES):
    return [
        f"{path}:{node.lineno}" for path, tree in trees.items() for node in ast.walk(tree) if is_wrong(node)
    ]


def test_archives_are_read_member_by_member():
    """What extracts an archive by itself follows its links and paths: scripts/local_aws/unpacking.py does not."""
    extracting = ("extractall", "extract", "unpack_archive")

    assert len(TREES) > 100
    assert places(lambda node: called(node) in extracting) == []
