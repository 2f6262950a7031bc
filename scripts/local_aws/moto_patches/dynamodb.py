"""Makes moto's UpdateItem three times as fast, with the same outcome.

An update with the 14 actions of the ledger takes 14 ms of CPU without this and 4 ms with it. moto
parses the expression three times, nests its tree as deep as it has actions, and checks each level
with all below it. At each of its thousand visits of a node it asks again which kinds of nodes
matter.
"""

import functools
import pickle
from typing import Any

from scripts.local_aws.core.moto_backends import moto_module

KEPT_EXPRESSIONS = 1000


def install() -> None:
    parser = moto_module("dynamodb.parsing.expressions").UpdateExpressionParser
    validators, nodes = (moto_module(f"dynamodb.parsing.{name}") for name in ("validators", "ast_nodes"))
    parse = parser.make

    @functools.lru_cache(KEPT_EXPRESSIONS)
    def make(expression: str) -> Any:
        tree = parse(expression)
        validators.ActionCountValidator().verify_action_counts(tree)
        tree.normalize()  # one level of actions; moto does so at the end
        for action in tree.children:
            action.set_parent(tree)
        return tree

    parser.make = staticmethod(make)
    # Each update works on two copies of the tree.
    validators.deepcopy = lambda tree: pickle.loads(pickle.dumps(tree))  # noqa: S301
    nodes.DepthFirstTraverser.traverse = traverse


def traverse(self: Any, tree: Any) -> Any:
    """`DepthFirstTraverser.traverse`: processes a tree's nodes from the leaves up and returns what the root became."""
    processors = self._processing_map()
    kinds = tuple(processors)
    if kinds == (moto_module("dynamodb.parsing.ast_nodes").UpdateExpression,):  # a check of the whole
        return processors[kinds[0]](tree)

    def visit(node: Any, position: int) -> Any:
        for index, child in enumerate(node.children or ()):
            self.pre_processing_of_child(node, index)
            if hasattr(child, "children"):
                visit(child, index)
        if kind := _first_base(type(node), kinds):  # type: ignore[arg-type]
            parent, node = node.parent, processors[kind](node)
            node.parent = parent
            if parent:
                parent.children[position] = node
        return node

    return visit(tree, -1)


@functools.cache
def _first_base(kind: Any, kinds: tuple[type, ...]) -> type | None:
    return next((each for each in kinds if issubclass(kind, each)), None)
