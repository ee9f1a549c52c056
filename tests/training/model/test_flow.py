"""The learned prior: an exact inverse and an exact density."""

import pytest
import torch

from training.config.config import FlowPrior
from training.model.flow import RealNvp
from training.model.objective import log_standard_normal


def flow(size: int) -> RealNvp:
    """A flow in double precision that is far from the identity."""
    made = RealNvp(size, FlowPrior(couplings=4, hidden=16)).double()
    draws = torch.Generator().manual_seed(size)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.4, generator=draws)
    return made


@pytest.mark.parametrize("size", [2, 5, 8])
def test_the_inverse_undoes_the_flow(size: int) -> None:
    eps = torch.randn(10, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    made = flow(size)
    z = made(eps)
    assert (z - eps).abs().max() > 0.1
    torch.testing.assert_close(made.inverse(z)[0], eps)


@pytest.mark.parametrize("size", [2, 5])
def test_the_log_determinant_is_that_of_the_jacobian(size: int) -> None:
    made = flow(size)
    z = torch.randn(3, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    _, log_det = made.inverse(z)
    for row in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda point: made.inverse(point[None])[0][0], z[row])
        assert log_det[row].sum().item() == pytest.approx(torch.linalg.slogdet(jacobian).logabsdet.item())


def test_the_density_integrates_to_one() -> None:
    made = flow(2)
    step = 0.05
    line = torch.arange(-25, 25, step, dtype=torch.float64)
    with torch.no_grad():
        density = made.log_density(torch.cartesian_prod(line, line)).exp()
    assert density.sum().item() * step**2 == pytest.approx(1.0, abs=1e-3)


def test_it_starts_as_the_standard_normal() -> None:
    made = RealNvp(6, FlowPrior(couplings=2, hidden=8))
    for coupling in made.couplings:
        coupling.start_as_identity()
    z = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(made(z), z)
    torch.testing.assert_close(made.log_density(z), log_standard_normal(z))
