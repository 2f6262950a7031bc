"""What comes from outside stays data: rules that hold for every module, read from its source."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
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
    """What extracts an archive by itself follows its links and paths: scripts/local_aws/core/unpacking.py does not."""
    extracting = ("extractall", "extract", "unpack_archive")

    assert len(TREES) > 100
    assert places(lambda node: called(node) in extracting) == []


# Modules that print in another way, and why they may.
OTHER_PRINTING = {
    "scripts/devtools/state_diagrams.py": "names its own page",
    "scripts/deployment/terraform.py": "speaks before anything is installed, of this machine's own paths",
    "training_scripts/serve.py": "writes a container's log, without rich",
    "training_scripts/terminal.py": "is what cleans",
}


def test_nothing_prints_around_what_cleans():
    """Text for people goes through Terminal or cleaned(); print() is for JSON, which escapes what is not ASCII."""
    commands = {
        path: tree
        for path, tree in TREES.items()
        if path.parts[:2] != ("scripts", "local_aws")
        and path.parts[0] != "functions"
        and path.as_posix() not in OTHER_PRINTING
    }

    assert len([path for path in commands if path.parts[:2] == ("scripts", "cli")]) > 30
    assert places(prints_as_it_is, commands) == []


def prints_as_it_is(node):
    if not isinstance(node, ast.Call):
        return False
    function = ast.unparse(node.func)
    if function in ("print", "typer.prompt", "typer.confirm", "SystemExit") and node.args:
        text = node.args[0]
        is_json = called(text) == "dumps" and not any(each.arg == "ensure_ascii" for each in text.keywords)
        is_number = function == "SystemExit" and ast.unparse(text) in ("main()", "error.code")
        return not (is_json or is_number or called(text) == "cleaned")
    return function in (
        "Console",
        "rich.print",
        "typer.echo",
        "typer.secho",
        "click.echo",
        "traceback.print_exc",
    ) or (function.endswith((".print_json", "stdout.write", "stderr.write", ".print_exception")))


def test_messages_quote_values_by_one_function_that_bounds_them():
    """`{value!r}` of something from outside can be megabytes; shown() looks only at what it shows."""
    trees = {
        path: tree
        for path, tree in TREES.items()
        if path.parts[:2] != ("scripts", "local_aws") and path != Path("functions/common/shown.py")
    }

    def is_unbounded(node):
        return (isinstance(node, ast.FormattedValue) and node.conversion == ord("r")) or called(
            node
        ) == "repr"

    assert places(is_unbounded, trees) == []
