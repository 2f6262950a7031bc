"""The command line explains UserErrors and shows a traceback for the rest, so every error says which it is."""

import ast
import builtins

from tests.unit.repository.test_outside import TREES

# Errors that never reach a user as they are, and why.
INTERNAL = {
    "AlertNotSent": "scones rerun lists it with the alert",
    "NotYours": "the review page's server answers with it",
    "OtherRegion": "the search for leftovers counts it as not looked at",
    "Refused": "the review page's server answers with it",
    "StepFailed": "the step's command has explained it already",
}


def is_exception(name):
    return isinstance(kind := getattr(builtins, name, None), type) and issubclass(kind, BaseException)


def test_an_error_is_a_users_or_internal_for_a_reason():
    bases = {
        node.name: {getattr(base, "id", getattr(base, "attr", "")) for base in node.bases}
        for path, tree in TREES.items()
        if path.parts[0] != "functions" and path.parts[:2] != ("scripts", "local_aws")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    directly = {name for name, of in bases.items() if any(map(is_exception, of))}

    assert len([name for name, of in bases.items() if "UserError" in of]) > 25
    assert directly == {"UserError", *INTERNAL}
