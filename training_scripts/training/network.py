"""The convolutional network: a small member of the airbench family for 32-pixel pictures."""

import torch
from torch import Tensor, nn

WIDTHS = {"small": (48, 96, 192), "wide": (64, 128, 256)}
_BATCH_NORM_MOMENTUM = 0.1


class Block(nn.Module):
    """Two 3x3 convolutions with batch normalisation; halves the side once."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.widen_norm = nn.BatchNorm2d(outputs, momentum=_BATCH_NORM_MOMENTUM)
        self.deepen = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.deepen_norm = nn.BatchNorm2d(outputs, momentum=_BATCH_NORM_MOMENTUM)
        self.pool = nn.MaxPool2d(2)
        self.activation = nn.GELU()

    def forward(self, features: Tensor) -> Tensor:
        features = self.activation(self.widen_norm(self.pool(self.widen(features))))
        return self.activation(self.deepen_norm(self.deepen(features)))


class Network(nn.Module):
    """Frozen 2x2 whitening convolution, three blocks, global max pooling, one linear layer.

    After K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024). Input: float32
    [N, 3, S, S], normalised, S at least 16; output: logits [N, labels].

    Args:
        labels: classes of the answer; the last one is "neither" where there are `kinds`.
        kinds: finer classes that training distinguishes inside "neither"; the answer adds up their
            probabilities, so a car costs "neither" no capacity that a boat needs.
    """

    def __init__(self, labels: int, widths: tuple[int, int, int], kinds: int = 0) -> None:
        super().__init__()
        self._labels, self._kinds = labels, kinds
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad = False
        self.activation = nn.GELU()
        self.blocks = nn.Sequential(*(Block(i, o) for i, o in zip((24, *widths), widths, strict=False)))
        self.head = nn.Linear(widths[-1], labels + kinds)

    def forward(self, pixels: Tensor) -> Tensor:
        logits = self.fine(pixels)
        if not self._kinds:
            return logits
        certain, kinds = logits[:, : self._labels - 1], logits[:, self._labels - 1 :]
        return torch.cat((certain, kinds.logsumexp(1, keepdim=True)), 1)

    def fine(self, pixels: Tensor) -> Tensor:
        """Logits [N, labels + kinds], which training compares with its targets."""
        features = self.blocks(self.activation(self.whiten(pixels)))
        return self.head(features.amax((2, 3)))

    def adopt(self, pretrained: "Network") -> None:
        """Start from a network whose labels are this one's first kinds."""
        state = pretrained.state_dict()
        weight, bias = state.pop("head.weight"), state.pop("head.bias")
        self.load_state_dict(state, strict=False)
        with torch.no_grad():
            known = slice(self._labels, self._labels + len(bias))
            self.head.weight[known], self.head.bias[known] = weight, bias

    @torch.no_grad()
    def lower_neither(self, shift: float) -> None:
        """Lower the last label's logit by `shift`."""
        self.head.bias[self._labels - 1 :] -= shift

    def set_whitening(self, pixels: Tensor) -> None:
        """Derive the first layer from the patches of normalised pictures [N, 3, S, S]."""
        patches = pixels.unfold(2, 2, 1).unfold(3, 2, 1)
        patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 12).double()
        covariance = patches.T @ patches / len(patches)
        values, vectors = torch.linalg.eigh(covariance)
        filters = (vectors / (values + 5e-4).sqrt()).T.reshape(12, 3, 2, 2).float()
        self.whiten.weight.data.copy_(torch.cat((filters, -filters)))
        nn.init.zeros_(self.whiten.bias)
