"""One ONNX file of backbone and head, so that serving needs to know of neither."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training_scripts.quick import backbone
from training_scripts.quick.head import NEIGHBOURS, Head


def compose(head: Head) -> bytes:
    """`pixels` float32 [N, 3, SIDE, SIDE] to `logits` [N, C + 1], as Head.logits answers for the features.

    Raises:
        BackboneError: the backbone's file is missing or another.
    """
    model = onnx.load_from_string(backbone.content())
    layers = _Layers(model.graph)
    layers.linear(head)
    layers.distance(head)
    factor, of_energy, constant = head.neither
    layers.add("Mul", ["distance", layers.constant("factor", [factor])], "distance.factor")
    layers.add("Mul", ["evidence", layers.constant("of_energy", [-of_energy])], "energy.factor")
    layers.add("Add", ["distance.factor", "energy.factor"], "neither.sum")
    layers.add("Add", ["neither.sum", layers.constant("constant", [constant])], "neither")
    layers.add("Concat", ["classes", "neither"], "logits", axis=1)
    labels = len(head.bias) + 1
    del model.graph.output[:]
    model.graph.output.append(
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["pictures", labels])
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


class _Layers:
    """Appends to a graph that ends in the features."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph

    def linear(self, head: Head) -> None:
        """The classes' log-probabilities, and the logarithm of the sum of their powers (the negative energy)."""
        self.add("Sqrt", [backbone.OUTPUT], "roots")
        parts = ["roots", self.constant("weight", head.weight), self.constant("bias", head.bias)]
        self.add("Gemm", parts, "raw", transB=1)
        self.add("ReduceLogSumExp", ["raw"], "evidence", axes=[1], keepdims=1)
        self.add("Sub", ["raw", "evidence"], "classes")

    def distance(self, head: Head) -> None:
        """The standardised distance to the predicted class, [N, 1]."""
        self.add("ReduceL2", ["roots"], "length", axes=[1], keepdims=1)
        self.add("Div", ["roots", "length"], "unit")
        likeness = [self._nearest(f"class{number}", known) for number, known in enumerate(head.memory)]
        self.add("Concat", likeness, "likeness", axis=1)
        self.add("Mul", ["likeness", self.constant("steepness", -1 / head.spread)], "likeness.scaled")
        offset = self.constant("offset", (1 - head.mean) / head.spread)
        self.add("Add", ["likeness.scaled", offset], "distances")
        self.add("ArgMax", ["raw"], "predicted", axis=1, keepdims=1)
        self.add("GatherElements", ["distances", "predicted"], "distance", axis=1)

    def _nearest(self, name: str, known: NDArray) -> str:
        """The mean likeness [N, 1] of the nearest pictures of one class."""
        half = self.constant(f"{name}.memory.half", known.T, np.float16)
        self.add("Cast", [half], f"{name}.memory", to=TensorProto.FLOAT)
        self.add("MatMul", ["unit", f"{name}.memory"], f"{name}.likeness")
        count = self.constant(f"{name}.count", [min(NEIGHBOURS, len(known))], np.int64)
        self._graph.node.append(
            helper.make_node(
                "TopK", [f"{name}.likeness", count], [f"{name}.nearest", f"{name}.places"], axis=1
            )
        )
        return self.add("ReduceMean", [f"{name}.nearest"], f"{name}.mean", axes=[1], keepdims=1)

    def constant(self, name: str, value: object, kind: type = np.float32) -> str:
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def add(self, operation: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._graph.node.append(helper.make_node(operation, inputs, [output], **attributes))
        return output
