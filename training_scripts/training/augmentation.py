"""Random changes to a batch of training pictures, so that the network tolerates what cameras do.

Every function takes and returns float32 [N, 3, S, S] in 0..1 and draws from the generator given.
"""

import io
import math

import torch
from PIL import Image
from torch import Generator, Tensor
from torch.nn import functional

_GREY = (0.299, 0.587, 0.114)


# Rows that are moved by whole pixels only: resampling blurs, and pictures to be judged are sharp.
_SHARP = 0.5


def augment(pixels: Tensor, strength: float, damage: float, generator: Generator) -> Tensor:
    """Move, recolour, blur, noise, re-compress and cut out.

    Args:
        strength: of moves, colours and cut-outs; 1.0 is the usual amount.
        damage: scales the shares of rows that are blurred, noised and re-compressed.
    """
    pixels = _move(pixels, strength, generator)
    pixels = _recolour(pixels, strength, generator)
    pixels = _blur(pixels, 0.15 * damage, generator)
    pixels = _noise(pixels, 0.3 * damage, generator)
    pixels = _recompress(pixels.clamp(0, 1), 0.25 * damage, generator)
    return _cut_out(pixels, 0.5 * strength, generator)


def _uniform(count: int, low: float, high: float, generator: Generator, device: torch.device) -> Tensor:
    return (torch.rand(count, generator=generator) * (high - low) + low).to(device)


def _chosen(count: int, share: float, generator: Generator, device: torch.device) -> Tensor:
    return (torch.rand(count, generator=generator) < share).to(device)


def _move(pixels: Tensor, strength: float, generator: Generator) -> Tensor:
    count, device, pixel = len(pixels), pixels.device, 2 / pixels.shape[-1]
    sharp = _chosen(count, _SHARP, generator, device)
    bend = torch.where(sharp, 0.0, strength)
    turn = _uniform(count, -1, 1, generator, device) * math.radians(15) * bend
    zoom = torch.exp(_uniform(count, -1, 1, generator, device) * 0.25 * bend)
    stretch = torch.exp(_uniform(count, -1, 1, generator, device) * 0.2 * bend)
    shear = _uniform(count, -0.15, 0.15, generator, device) * bend
    mirror = _chosen(count, 0.5, generator, device).float() * -2 + 1
    across, down = (_uniform(count, -0.25, 0.25, generator, device) * strength for _ in range(2))
    across, down = (torch.where(sharp, (v / pixel).round() * pixel, v) for v in (across, down))
    c, s = torch.cos(turn), torch.sin(turn)
    rows = (
        mirror * c * zoom * stretch,
        (shear - s) * zoom,
        across,
        mirror * s * zoom * stretch,
        c * zoom,
        down,
    )
    grid = functional.affine_grid(
        torch.stack(rows, 1).view(count, 2, 3), list(pixels.shape), align_corners=False
    )
    return functional.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)


def _recolour(pixels: Tensor, strength: float, generator: Generator) -> Tensor:
    count, device = len(pixels), pixels.device

    def factors(spread: float, channels: int = 1) -> Tensor:
        exponent = _uniform(count * channels, -spread, spread, generator, device) * strength
        return torch.exp(exponent).view(count, channels, 1, 1)

    weights = torch.tensor(_GREY, device=device).view(1, 3, 1, 1)
    grey = (pixels * weights).sum(1, keepdim=True)
    saturation = factors(0.6)
    saturation[_chosen(count, 0.1, generator, device)] = 0
    pixels = grey + (pixels - grey) * saturation
    mean = grey.mean((1, 2, 3), keepdim=True)
    pixels = mean + (pixels - mean) * factors(0.4)
    pixels = pixels * factors(0.35) * factors(0.1, 3)
    order = torch.argsort(torch.rand(count, 3, generator=generator), 1).to(device)
    order[~_chosen(count, 0.15 * strength, generator, device)] = torch.arange(3, device=device)
    return pixels.gather(1, order.view(count, 3, 1, 1).expand_as(pixels))


def _blur(pixels: Tensor, share: float, generator: Generator) -> Tensor:
    chosen = _chosen(len(pixels), share, generator, pixels.device)
    if not chosen.any():
        return pixels
    some = pixels[chosen]
    count, channels, height, width = some.shape
    sigma = _uniform(count, 0.4, 1.3, generator, pixels.device).view(count, 1)
    offsets = torch.arange(-2, 3, device=pixels.device).view(1, 5)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    flat = functional.pad(some, (2, 2, 2, 2), mode="reflect").reshape(
        1, count * channels, height + 4, width + 4
    )
    flat = functional.conv2d(flat, kernel.view(-1, 1, 1, 5), groups=count * channels)
    flat = functional.conv2d(flat, kernel.view(-1, 1, 5, 1), groups=count * channels)
    pixels = pixels.clone()
    pixels[chosen] = flat.view(count, channels, height, width)
    return pixels


def _noise(pixels: Tensor, share: float, generator: Generator) -> Tensor:
    chosen = _chosen(len(pixels), share, generator, pixels.device).nonzero()[:, 0]
    deviation = _uniform(len(chosen), 0, 30 / 255, generator, pixels.device).view(-1, 1, 1, 1)
    noise = torch.randn((len(chosen), *pixels.shape[1:]), generator=generator).to(pixels.device)
    return pixels.index_add(0, chosen, noise * deviation)


def _recompress(pixels: Tensor, share: float, generator: Generator) -> Tensor:
    """Send a share of all classes alike through JPEG, so that compression does not reveal the class."""
    chosen = _chosen(len(pixels), share, generator, torch.device("cpu")).nonzero()[:, 0].tolist()
    qualities = torch.randint(25, 96, (len(chosen),), generator=generator).tolist()
    for index, quality in zip(chosen, qualities, strict=True):
        pixels[index] = _through_jpeg(pixels[index], quality)
    return pixels


def _through_jpeg(picture: Tensor, quality: int) -> Tensor:
    array = (picture * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as decoded:
        data = torch.frombuffer(bytearray(decoded.convert("RGB").tobytes()), dtype=torch.uint8)
    return (data.view(array.shape).permute(2, 0, 1).float() / 255).to(picture.device)


def _cut_out(pixels: Tensor, share: float, generator: Generator) -> Tensor:
    count, side, device = len(pixels), pixels.shape[-1], pixels.device
    reach = _uniform(count, side / 16, side / 5, generator, device).view(count, 1, 1)
    reach = reach * _chosen(count, share, generator, device).view(count, 1, 1)
    x, y = (_uniform(count, 0, side, generator, device).view(count, 1, 1) for _ in range(2))
    places = torch.arange(side, device=device)
    hole = ((places.view(1, 1, -1) - x).abs() < reach) & ((places.view(1, -1, 1) - y).abs() < reach)
    return torch.where(hole.unsqueeze(1), pixels.mean((1, 2, 3), keepdim=True), pixels)
