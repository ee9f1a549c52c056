"""From one latent to another along the sphere."""

import torch
from torch import Tensor

PARALLEL = 1e-4  # radians from parallel, or from opposite, at which the arc has no direction


def slerp(start: Tensor, end: Tensor, *, steps: int) -> Tensor:
    """Spherical interpolation (Shoemake 1985), both ends included; start, end [latent] -> [steps, latent].

    A draw of N(0, I) lies near a sphere, and so does every point of the arc; a straight line would cut through the
    inside, where draws are rare (White 2016, arXiv 1609.04468). Ends of unlike length change length on the way.
    """
    t = torch.linspace(0, 1, steps)[:, None]
    cosine = torch.dot(start, end) / (start.norm() * end.norm()).clamp(min=1e-12)
    angle = torch.acos(cosine.clamp(-1, 1))
    if torch.sin(angle) < PARALLEL:
        return torch.lerp(start, end, t)
    return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)
