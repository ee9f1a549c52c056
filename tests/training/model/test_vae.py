"""Networks of every preset, for items of every shape."""

import inspect
import re

import pytest
import torch

from training.config import presets
from training.config.config import Config
from training.config.presets import PRESETS
from training.config.resolve import resolve
from training.export.export import decode_macs
from training.model.likelihood import SMALLEST_LOG_SIGMA
from training.model.vae import LOG_VAR_LIMITS, Vae, initialise
from training.randomness import generator
from training.run.hardware import Hardware
from training.run.step import elbo_terms, encode_draw_decode

SHAPES = [(1, 28, 28), (1, 8, 8), (3, 32, 32), (1, 17, 30), (3, 20, 9)]


def small(name: str) -> Config:
    """A preset's kind of network, narrow enough for a test."""
    narrow = {
        "default": {"architecture": {"widths": [4, 8], "residual_blocks": [0, 1], "hidden": 8}, "latent_size": 4},
        "quality": {"architecture": {"widths": [4, 8], "residual_blocks": [1, 1], "hidden": 8}, "latent_size": 4},
        "tiny": {"architecture": {"hidden": [8]}, "latent_size": 4},
        "seed": {"architecture": {"filters": 4, "hidden": 8}, "latent_size": 4},
    }
    return resolve(name=name, file=None, flags=narrow[name])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["default", "quality", "tiny"])
def test_a_network_takes_items_of_any_size_and_gives_them_back(
    name: str, shape: tuple[int, int, int], cpu: Hardware
) -> None:
    model = Vae(small(name), shape)
    initialise(model, mean_item=torch.full(shape, 0.5), generator=generator(0, "weights"))
    x = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    terms = elbo_terms(model, encode_draw_decode(model, x, torch.zeros(3, 1, 4), autocast=cpu.autocast()))
    assert model.decoder(torch.zeros(3, 4)).shape == (3, *shape)
    assert terms.log_likelihood.shape == terms.kl.shape == (3,)
    assert torch.isfinite(terms.log_likelihood - terms.kl).all()


@pytest.mark.parametrize(
    "change",
    [
        {"decoder_widths": [3, 5], "decoder_blocks": [1, 0]},
        {"last_kernel": 6},
        {"upsampling": "subpixel"},
        {"block_convolutions": 1, "residual_blocks": [1, 1], "activation": "relu"},
        {"widths": [4, 4, 4], "residual_blocks": [0, 0, 0]},
    ],
    ids=str,
)
def test_every_part_of_a_convolutional_network_may_be_changed(change: dict[str, object]) -> None:
    config = small("default").to_mapping()
    config["architecture"] |= {"decoder_widths": [], "decoder_blocks": [], "last_kernel": 4} | change
    model = Vae(Config.of(config), (3, 17, 30))
    initialise(model, mean_item=torch.full((3, 17, 30), 0.5), generator=generator(0, "weights"))
    assert model.encoder(torch.zeros(2, 3, 17, 30)).mean.shape == (2, 4)
    assert model.decoder(torch.zeros(2, 4)).shape == (2, 3, 17, 30)


def test_preset_seed_has_the_parameters_of_the_tutorial() -> None:
    assert Vae(PRESETS["seed"], (1, 28, 28)).parameters_count == 3_450_502


def test_preset_default_decodes_mnist_within_six_million_operations() -> None:
    assert decode_macs(Vae(PRESETS["default"], (1, 28, 28))) <= 3_000_000


def test_preset_quality_decodes_mnist_within_a_hundred_and_twenty_million_operations() -> None:
    assert decode_macs(Vae(PRESETS["quality"], (1, 28, 28))) <= 60_000_000


def test_the_multiply_adds_of_a_decode_are_those_that_the_presets_state() -> None:
    """The comments above them, which the site shows."""
    stated = re.findall(r"([\d.]+) million multiply-adds.*\n +\"(\w+)\": Config\(", inspect.getsource(presets))
    shapes = {name: (10,) if name == "table" else (1, 28, 28) for name in PRESETS}
    counted = {name: decode_macs(Vae(PRESETS[name], shape)) for name, shape in shapes.items()}
    assert {name: million for million, name in stated} == {name: f"{macs / 1e6:.2f}" for name, macs in counted.items()}


def test_log_variances_are_kept_within_their_limits() -> None:
    model = Vae(small("tiny"), (1, 8, 8))
    torch.nn.init.constant_(model.encoder.log_var.bias, 1000.0)
    assert model.encoder(torch.zeros(2, 1, 8, 8)).log_var.max().item() == LOG_VAR_LIMITS[1]
    torch.nn.init.constant_(model.encoder.log_var.bias, -1000.0)
    assert model.encoder(torch.zeros(2, 1, 8, 8)).log_var.min().item() == LOG_VAR_LIMITS[0]


def test_the_decoder_starts_at_the_mean_item() -> None:
    model = Vae(small("tiny"), (1, 8, 8))
    mean_item = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0)).clamp(0.1, 0.9)
    initialise(model, mean_item=mean_item, generator=generator(0, "weights"))
    assert model.decoder.bias is not None
    torch.testing.assert_close(torch.sigmoid(model.decoder.bias), mean_item)


def test_pixels_that_are_always_black_start_with_a_finite_logit() -> None:
    model = Vae(small("tiny"), (1, 8, 8))
    initialise(model, mean_item=torch.zeros(1, 8, 8), generator=generator(0, "weights"))
    assert model.decoder.bias is not None
    assert torch.isfinite(model.decoder.bias).all()


def test_weights_come_from_the_generator_alone() -> None:
    models = [Vae(small("default"), (1, 8, 8)) for _ in range(2)]
    for model in models:
        torch.rand(1)  # draws of the global generator must not matter
        initialise(model, mean_item=torch.full((1, 8, 8), 0.5), generator=generator(5, "weights"))
    one, other = (model.state_dict() for model in models)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_learned_sigma_stays_above_a_grey_level() -> None:
    model = Vae(resolve(name="tiny", file=None, flags={"likelihood": "gaussian"}), (1, 8, 8))
    assert model.log_sigma is not None
    assert model.log_sigma.requires_grad
    torch.nn.init.constant_(model.log_sigma, -100.0)
    assert model.sigma == pytest.approx(torch.tensor(SMALLEST_LOG_SIGMA).exp().item())


def test_a_fixed_sigma_is_not_trained() -> None:
    model = Vae(resolve(name="tiny", file=None, flags={"likelihood": "gaussian", "sigma": 0.1}), (1, 8, 8))
    assert model.log_sigma is not None
    assert not model.log_sigma.requires_grad
    assert model.sigma == pytest.approx(0.1)
