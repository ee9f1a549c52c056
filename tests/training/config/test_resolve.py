"""Preset, TOML file and flags become one configuration, or an error of one line."""

from pathlib import Path

import pytest

from training.config.config import Config, FlowPrior, MlpArchitecture
from training.config.presets import PRESETS
from training.config.resolve import require_unchanged, resolve
from training.errors import TrainingError


@pytest.mark.parametrize("name", PRESETS)
def test_a_configuration_survives_its_plain_form(name: str) -> None:
    assert Config.of(PRESETS[name].to_mapping()) == PRESETS[name]


def test_flags_override_the_file_and_the_file_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('preset = "tiny"\nlatent_size = 5\nseed = 3\n[optimisation]\nepochs = 7\nbatch_size = 32\n')
    config = resolve(name=None, file=file, flags={"seed": 9, "optimisation": {"epochs": 8}})
    assert config.preset == "tiny"
    assert (config.latent_size, config.seed) == (5, 9)
    assert (config.optimisation.epochs, config.optimisation.batch_size) == (8, 32)
    assert config.optimisation.learning_rate == PRESETS["tiny"].optimisation.learning_rate


def test_a_file_may_choose_another_kind_of_architecture(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('[architecture]\nkind = "mlp"\nhidden = [32]\n')
    assert resolve(name="default", file=file, flags={}).architecture == MlpArchitecture(hidden=(32,))


def test_a_word_turns_a_learned_prior_on_and_off_by_flag_and_by_file(tmp_path: Path) -> None:
    assert resolve(name="default", file=None, flags={"prior": "normal"}).prior is None
    assert resolve(name="tiny", file=None, flags={"prior": "flow"}).prior == FlowPrior()
    assert resolve(name="quality", file=None, flags={"prior": "flow"}).prior == FlowPrior(couplings=8, hidden=512)
    file = tmp_path / "run.toml"
    file.write_text('prior = "normal"\n')
    assert resolve(name="default", file=file, flags={}).prior is None
    assert resolve(name="default", file=file, flags={"prior": "flow"}).prior == FlowPrior()


def test_file_and_flags_win_over_what_a_command_sets_in_place_of_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[optimisation]\nkl_warmup = 0.5\n")
    defaults = {"optimisation": {"kl_warmup": 0.0}}
    assert resolve(name="tiny", file=None, flags={}, defaults=defaults).optimisation.kl_warmup == 0
    assert resolve(name="tiny", file=file, flags={}, defaults=defaults).optimisation.kl_warmup == 0.5


def test_a_flag_does_not_hide_that_a_file_has_a_number_where_a_table_belongs(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("optimisation = 5\n")
    with pytest.raises(TrainingError, match="setting optimisation is 5; allowed: a table of settings"):
        resolve(name="tiny", file=file, flags={"optimisation": {"epochs": 1}})


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("latent = 5", "unknown setting latent; allowed: preset, architecture, latent_size"),
        ('latent_size = "five"', "setting latent_size is 'five'; allowed: a whole number"),
        ("latent_size = true", "setting latent_size is True; allowed: a whole number"),
        ("latent_size = 0", "latent_size is 0; allowed: 1 to 4096"),
        ("[optimisation]\nepochs = 0", "epochs is 0; it must be at least 1"),
        ("[optimisation]\nspeed = 3", "unknown setting optimisation.speed"),
        ("[optimisation]\nbetas = [0.9]", "betas is (0.9,); two in [0, 1)"),
        ("optimisation = 3", "setting optimisation is 3; allowed: a table of settings"),
        ('prior = "vamp"', "setting prior is 'vamp'; allowed: normal, flow, or a table of settings"),
        ("sigma = inf", "setting sigma is inf; allowed: a finite number"),
        ("[optimisation]\nbeta = nan", "setting optimisation.beta is nan; allowed: a finite number"),
        (f"[optimisation]\nlearning_rate = {'9' * 400}", "allowed: a finite number"),
        ("[optimisation]\nlearning_rate = 1e-6", "final_learning_rate is 1e-05; allowed: 0 to learning_rate, 1e-06"),
        ('[architecture]\nkind = ["conv"]', "setting architecture.kind is ['conv']; allowed: conv, mlp, tutorial"),
        (
            '[architecture]\nkind = "transformer"',
            "setting architecture.kind is 'transformer'; allowed: conv, mlp, tutorial",
        ),
        (
            '[architecture]\nkind = "mlp"\nhidden = 3',
            "setting architecture.hidden is 3; allowed: a list of a whole number",
        ),
        ("[architecture]\nwidths = [32]", "architecture.residual_blocks is (0, 0); it needs one count per width"),
        ("[architecture]\ndecoder_blocks = [1]", "architecture.decoder_blocks is (1,); it needs one number per width"),
        ("[architecture]\nlast_kernel = 5", "architecture.last_kernel is 5; allowed: 4, 6"),
        ("[architecture]\nblock_convolutions = 0", "architecture.block_convolutions is 0; it must be at least 1"),
        ('[optimisation]\ngradient = "none"', "setting optimisation.gradient is 'none'; allowed: total, path"),
        ("[optimisation]\nbeta = -1", "beta is -1.0; it must not be negative"),
        ('[optimisation]\nbound = "vi"', "setting optimisation.bound is 'vi'; allowed: elbo, iwae, dreg"),
        ('[optimisation]\nbound = "elbo"', "importance_draws is 5; bound elbo takes 1"),
        ("[optimisation]\nbound_fraction = 0", "bound_fraction is 0.0; allowed: above 0, up to 1"),
        ('[optimisation]\nbound = "dreg"\nimportance_draws = 0', "importance_draws is 0; allowed: 1 to 1000"),
        (
            '[optimisation]\nbound = "iwae"',
            "gradient path is biased for bound iwae (arXiv 1810.04152); take bound dreg",
        ),
        (
            "[optimisation]\nfree_bits = 0.1",
            "free_bits needs KL in closed form: bound elbo and gradient total, not dreg",
        ),
        (
            '[optimisation]\nfree_bits = 0.1\ngradient = "total"\nbound = "elbo"\nimportance_draws = 1',
            "free_bits is defined for KL(q, N(0, I))",
        ),
        ("[optimisation]\nfree_bits = -0.1", "free_bits is -0.1; it must not be negative"),
        ('train_on = "test"', "setting train_on is 'test'; allowed: train, all"),
        ('likelihood = "poisson"', "setting likelihood is 'poisson'; allowed: bernoulli, gaussian"),
        ("sigma = 0.1", "sigma belongs to --likelihood gaussian"),
        ("latent_size = 1", "a learned prior couples at least 2 latents"),
        ("seed = -1", "seed is -1; allowed: 0 to 2^63 - 1"),
        ("preset = 5", "preset is 5; it must be a text"),
        ('preset = "huge"', "unknown preset 'huge'; allowed: default, tiny, seed, quality"),
        ("epochs = ", "is not TOML"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(written: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(written + "\n")
    with pytest.raises(TrainingError) as caught:
        resolve(name=None, file=file, flags={})
    assert complaint in str(caught.value)


def test_a_changed_setting_is_named_with_both_values() -> None:
    with pytest.raises(TrainingError, match=r"the run has optimisation.epochs = 60, the command line says 70"):
        require_unchanged(PRESETS["tiny"], {"optimisation": {"epochs": 70}})
    require_unchanged(PRESETS["tiny"], {"optimisation": {"epochs": 60}})
