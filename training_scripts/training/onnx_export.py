"""From a trained network to ONNX, checked to answer as torch does."""

import io

import numpy as np
import onnxruntime
import torch

from training_scripts.training.loop import TrainingError
from training_scripts.training.network import Network

OPSET = 17
_LARGEST_DIFFERENCE = 1e-3


def to_onnx(network: Network, side: int) -> bytes:
    """Export with input `pixels` float32 [N, 3, side, side] and output `logits` [N, classes].

    Raises:
        TrainingError: ONNX Runtime answers differently from torch.
    """
    network = network.cpu().eval()
    example = torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(0))
    buffer = io.BytesIO()
    torch.onnx.export(
        network,
        (example,),
        buffer,
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_axes={"pixels": {0: "pictures"}, "logits": {0: "pictures"}},
        opset_version=OPSET,
        dynamo=False,
    )
    difference = largest_difference(network, buffer.getvalue(), example)
    if not difference < _LARGEST_DIFFERENCE:
        raise TrainingError(
            f"the exported network differs from the trained one by {difference:.2g} in a logit"
        )
    return buffer.getvalue()


@torch.no_grad()
def largest_difference(network: Network, exported: bytes, pixels: torch.Tensor) -> float:
    """The largest absolute difference of any logit between torch and ONNX Runtime."""
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    answers = session.run(["logits"], {"pixels": pixels.numpy()})[0]
    return float(np.abs(answers - network(pixels).numpy()).max())
