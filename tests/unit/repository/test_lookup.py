"""The rule by which a stranger finds a verb's code (CONTRIBUTING.md, "Where to look")."""

import re

import pytest

from scripts.common.paths import ROOT

COMMANDS = ROOT / "scripts" / "cli" / "commands"
VERBS = sorted(path.stem for path in COMMANDS.glob("*.py") if path.stem != "__init__")
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
# | `verb`, `verb` | `package/module.py` ... |
EXCEPTIONS = re.findall(r"(?m)^\| ((?:`[a-z]+`(?:, )?)+) \| ((?:`[a-z_/]+\.py`(?:, | and )?)+) \|$", TEXT)
MODULES = {
    verb: re.findall(r"`([a-z_/]+\.py)`", modules)
    for verbs, modules in EXCEPTIONS
    for verb in re.findall(r"`([a-z]+)`", verbs)
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_done_where_the_rule_says(verb: str) -> None:
    by_rule = [path for path in ROOT.glob(f"scripts/*/{verb}.py") if path.parent.name != "cli"]
    assert bool(by_rule) != (verb in MODULES), "name its module like the verb, or list it in CONTRIBUTING.md"


@pytest.mark.parametrize("verb", MODULES)
def test_an_exception_names_modules_that_are_there(verb: str) -> None:
    assert verb in VERBS
    for module in MODULES[verb]:
        assert (ROOT / "scripts" / module).is_file() or (ROOT / module).is_file()
