"""The presets: named configurations, of which a TOML file or a flag may change any part."""

from training.config.config import (
    Config,
    ConvArchitecture,
    FlowPrior,
    MlpArchitecture,
    Optimisation,
    TutorialArchitecture,
)
from training.errors import TrainingError

PRESETS = {
    # Serving on a CPU: 2.70 million multiply-adds to decode 28x28.
    "default": Config(
        preset="default",
        architecture=ConvArchitecture(
            widths=(32, 64), decoder_widths=(24, 48), decoder_blocks=(0, 1), block_convolutions=1, last_kernel=6
        ),
        latent_size=50,
        prior=FlowPrior(couplings=6, hidden=256),
        optimisation=Optimisation(
            epochs=80,
            bound="dreg",
            importance_draws=5,
            bound_fraction=0.25,
            gradient="path",
            weight_decay=0.01,
            gradient_norm=200.0,
        ),
    ),
    # First tries, tests, tiny images: 0.11 million multiply-adds to decode 28x28.
    "tiny": Config(
        preset="tiny",
        architecture=MlpArchitecture(hidden=(128, 64)),
        latent_size=8,
        optimisation=Optimisation(epochs=60, batch_size=64, learning_rate=2e-3),
    ),
    # Comparison: the tutorial's network, 3,450,502 parameters, 23.49 million multiply-adds to decode 28x28.
    "seed": Config(
        preset="seed",
        architecture=TutorialArchitecture(filters=64, hidden=128),
        latent_size=64,
        optimisation=Optimisation(epochs=40),
    ),
    # The best figures, trained on a GPU: 51.44 million multiply-adds to decode 28x28.
    "quality": Config(
        preset="quality",
        architecture=ConvArchitecture(
            widths=(48, 128), residual_blocks=(1, 2), hidden=512, upsampling="subpixel", activation="silu"
        ),
        latent_size=50,
        prior=FlowPrior(couplings=8, hidden=512),
        optimisation=Optimisation(epochs=300, learning_rate=5e-4, gradient="path"),
    ),
    # Rows of numbers in a file: 0.04 million multiply-adds to decode 10 columns.
    "table": Config(
        preset="table",
        architecture=MlpArchitecture(hidden=(256, 128)),
        latent_size=8,
        likelihood="gaussian",
        optimisation=Optimisation(epochs=200, learning_rate=2e-3),
    ),
}


def preset(name: str) -> Config:
    """The preset called `name`. Raises TrainingError if there is none."""
    if name not in PRESETS:
        raise TrainingError(f"unknown preset {name!r}; allowed: {', '.join(PRESETS)}")
    return PRESETS[name]
