"""What a step climbs, on a real model, and what runs with each objective leave."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from training.config.config import Config
from training.config.resolve import resolve
from training.datasets import Dataset
from training.export import export, graphs
from training.model.objective import elbo
from training.model.vae import Vae, initialise
from training.randomness import generator
from training.report import journal
from training.report.findings import gather
from training.run import checkpoint, folder, session
from training.run.distributed import Ranks
from training.run.hardware import Hardware
from training.run.minibatches import Minibatch, Minibatches
from training.run.progress import EpochDone, Event
from training.run.schedule import objective
from training.run.session import Session
from training.run.state import parameter_groups
from training.run.step import bound, climb


def configured(*, prior: bool = False, **optimisation: object) -> Config:
    flags: dict[str, object] = {"latent_size": 3, "optimisation": {"epochs": 3, **optimisation}}
    return resolve(name="tiny", file=None, flags={**flags, "prior": {"couplings": 2, "hidden": 8}} if prior else flags)


def model_of(config: Config, digits: Dataset) -> Vae:
    model = Vae(config, digits.item_shape)
    initialise(model, mean_item=digits.mean_item(), generator=generator(0, "weights"))
    with torch.no_grad():  # a posterior that is not the prior: warm latents make the bounds differ
        model.encoder.mean.weight.mul_(5)
        model.decoder.body.layers[0].weight.mul_(5)  # type: ignore[union-attr, operator, index]
    return model.train()


def batch_of(config: Config, digits: Dataset, cpu: Hardware) -> Minibatch:
    return Minibatches(digits.train.rows, config, cpu).at(0)


def loss_and_gradients(
    config: Config, digits: Dataset, cpu: Hardware, *, kl_weight: float = 1.0
) -> tuple[Tensor, dict[str, Tensor]]:
    model = model_of(config, digits)
    loss = climb(model, batch_of(config, digits, cpu), config.optimisation, kl_weight=kl_weight, hardware=cpu).loss
    loss.backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return loss, gradients


def fitted(config: Config, digits: Dataset, cpu: Hardware, path: Path) -> tuple[Session, list[EpochDone]]:
    this = session.new(config, run=folder.create(path), source="digits", dataset=digits, hardware=cpu)
    events: list[Event] = []
    assert this.fit(observe=events.append, stopping=lambda: False, clock=lambda: 0.0)
    return this, [event for event in events if isinstance(event, EpochDone)]


def weights(this: Session) -> list[Tensor]:
    return [*this.state.model.state_dict().values(), *this.state.average.state_dict().values()]


@pytest.mark.parametrize("kl_weight", [1.0, 0.4])
@pytest.mark.parametrize("prior", [False, True])
def test_with_one_draw_dreg_is_the_elbo_along_the_path(
    kl_weight: float, prior: bool, digits: Dataset, cpu: Hardware
) -> None:
    path = loss_and_gradients(configured(prior=prior, gradient="path"), digits, cpu, kl_weight=kl_weight)
    dreg = loss_and_gradients(configured(prior=prior, bound="dreg"), digits, cpu, kl_weight=kl_weight)
    torch.testing.assert_close(dreg, path, rtol=1e-4, atol=1e-5)


def test_with_one_draw_iwae_is_the_elbo_with_log_q_at_the_draw(digits: Dataset, cpu: Hardware) -> None:
    """Equal as a value for the path gradient's ELBO, which takes log q at the draw too; with its own gradient."""
    iwae, _ = loss_and_gradients(configured(bound="iwae"), digits, cpu)
    drawn, _ = loss_and_gradients(configured(gradient="path"), digits, cpu)
    torch.testing.assert_close(iwae, drawn)


def test_iwae_and_dreg_climb_the_same_bound_and_move_the_decoder_alike(digits: Dataset, cpu: Hardware) -> None:
    iwae, by_iwae = loss_and_gradients(configured(bound="iwae", importance_draws=4), digits, cpu)
    dreg, by_dreg = loss_and_gradients(configured(bound="dreg", importance_draws=4), digits, cpu)
    torch.testing.assert_close(iwae, dreg)
    for name in by_iwae:
        alike = torch.allclose(by_iwae[name], by_dreg[name], rtol=1e-4, atol=1e-5)
        assert alike == name.startswith("decoder"), name


def test_more_draws_give_a_higher_bound_of_the_same_rows(digits: Dataset, cpu: Hardware) -> None:
    model = model_of(configured(), digits).eval()
    x = digits.train.rows[:200] / 255
    with torch.inference_mode():
        noise = torch.randn(200, 64, 3, generator=torch.Generator().manual_seed(0))
        drawn = model.drawn(x, noise, autocast=cpu.autocast())
        several = bound(model, drawn).mean()
        assert elbo(model.parts(drawn)).mean() < several - 0.1
        few = bound(model, model.drawn(x, noise[:, :4], autocast=cpu.autocast())).mean()
        assert few < several


def test_the_parts_for_the_record_are_those_of_the_elbo(digits: Dataset, cpu: Hardware) -> None:
    """Averaged over many draws, log q - log p is the KL of the closed form."""
    config = configured(bound="iwae", importance_draws=400)
    model, batch = model_of(config, digits), batch_of(config, digits, cpu)
    terms = climb(model, batch, config.optimisation, kl_weight=1.0, hardware=cpu).terms
    parts = model.parts(model.drawn(batch.x, batch.noise, autocast=cpu.autocast()))
    torch.testing.assert_close(terms.log_likelihood, parts.log_likelihood)
    torch.testing.assert_close(terms.kl.mean(), parts.kl.mean(), rtol=0, atol=0.1)


def test_free_bits_raise_the_cost_to_their_floor(digits: Dataset, cpu: Hardware) -> None:
    free, by_free = loss_and_gradients(configured(free_bits=50.0), digits, cpu)
    plain = configured()
    model, batch = model_of(plain, digits), batch_of(plain, digits, cpu)
    terms = climb(model, batch, plain.optimisation, kl_weight=1.0, hardware=cpu).terms
    torch.testing.assert_close(free, 3 * 50.0 - terms.log_likelihood.mean())
    _, by_all = loss_and_gradients(configured(), digits, cpu)
    assert not torch.allclose(by_free["encoder.mean.weight"], by_all["encoder.mean.weight"])


def test_free_bits_of_a_part_count_the_other_processes_rows(digits: Dataset, cpu: Hardware) -> None:
    class Two(Ranks):
        """Sums over both processes, of which the other brought 1 nat per latent for its half of the rows."""

        def add(self, tensors: object) -> None:
            (mean,) = tensors  # type: ignore[misc, attr-defined]
            mean += 0.5

    config = configured(free_bits=0.5)
    batch = dataclasses.replace(batch_of(config, digits, cpu), weight=0.5)
    shared = dataclasses.replace(cpu, ranks=Two(rank=0, count=2, local_rank=0, local_count=2))
    model = model_of(config, digits)
    terms = model.parts(model.drawn(batch.x, batch.noise, autocast=cpu.autocast()))
    assert terms.kl.mean() < 100  # all latents are above the floor: their KL counts as it is
    loss = climb(model, batch, config.optimisation, kl_weight=1.0, hardware=shared).loss
    torch.testing.assert_close(loss, (terms.kl - terms.log_likelihood).mean())


@pytest.mark.parametrize(
    "settings",
    [
        {"bound": "iwae", "importance_draws": 3},
        {"bound": "dreg", "importance_draws": 3},
        {"bound": "dreg", "importance_draws": 3, "bound_fraction": 0.4},
        {"free_bits": 0.3},
        {"beta": 4.0},
    ],
    ids=str,
)
def test_every_objective_resumes_bit_for_bit(
    settings: dict[str, object], digits: Dataset, cpu: Hardware, tmp_path: Path
) -> None:
    config = configured(**settings)
    whole, epochs = fitted(config, digits, cpu, tmp_path / "whole")
    assert (epochs[-1].bound is None) == ("bound" not in settings)
    first = session.new(config, run=folder.create(tmp_path / "parts"), source="digits", dataset=digits, hardware=cpu)
    first.fit(observe=lambda event: None, stopping=lambda: first.state.step == 30, clock=lambda: 0.0)
    saved = checkpoint.read(first.run.checkpoint)
    second = session.resumed(saved, run=first.run, dataset=digits, hardware=cpu)
    assert second.fit(observe=lambda event: None, stopping=lambda: False, clock=lambda: 0.0)
    assert all(torch.equal(one, other) for one, other in zip(weights(whole), weights(second), strict=True))


def test_the_importance_weighted_bound_chooses_the_epoch_where_it_is_climbed(
    digits: Dataset, cpu: Hardware, tmp_path: Path
) -> None:
    this, epochs = fitted(configured(bound="dreg", importance_draws=5), digits, cpu, tmp_path / "run")
    assert all(epoch.bound is not None and epoch.bound > epoch.validation.elbo for epoch in epochs)
    assert this.state.best is not None
    assert this.state.best.bound == max(epoch.bound for epoch in epochs if epoch.bound is not None)


def test_the_bound_is_climbed_in_the_last_part_of_the_epochs_and_the_elbo_before(
    digits: Dataset, cpu: Hardware, tmp_path: Path
) -> None:
    late = configured(bound="dreg", importance_draws=4, bound_fraction=0.3, gradient="path")
    assert [objective(late.optimisation, epoch=epoch).bound for epoch in range(3)] == ["elbo", "elbo", "dreg"]
    _, epochs = fitted(late, digits, cpu, tmp_path / "late")
    _, plain = fitted(configured(gradient="path"), digits, cpu, tmp_path / "plain")
    assert [epoch.train for epoch in epochs[:2]] == [epoch.train for epoch in plain[:2]]
    assert epochs[2].train != plain[2].train
    assert all(epoch.bound is not None for epoch in epochs)


def test_a_heavier_kl_is_smaller_and_free_bits_are_used(digits: Dataset, cpu: Hardware, tmp_path: Path) -> None:
    _, light = fitted(configured(beta=0.1, epochs=8), digits, cpu, tmp_path / "light")
    _, heavy = fitted(configured(beta=4.0, epochs=8), digits, cpu, tmp_path / "heavy")
    _, free = fitted(configured(beta=4.0, epochs=8, free_bits=0.5), digits, cpu, tmp_path / "free")
    assert heavy[-1].validation.kl < light[-1].validation.kl - 1
    assert heavy[-1].validation.kl < 1
    assert free[-1].validation.kl == pytest.approx(3 * 0.5, abs=0.4)
    assert (light[-1].kl_weight, heavy[-1].kl_weight) == (0.1, 4.0)


def test_trained_on_all_rows_the_last_epoch_is_exported_and_the_card_says_so(
    digits: Dataset, cpu: Hardware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(configured(epochs=2), train_on="all")
    this, epochs = fitted(config, digits, cpu, tmp_path / "run")
    assert this.state.step == 2 * ((1437 + 180) // 64)
    assert this.state.best is None
    assert not any(epoch.best for epoch in epochs)
    model, chosen = session.trained_model(checkpoint.read(this.run.checkpoint))
    assert chosen == {"epochs": 2, "chosen_epoch": None}
    last = this.state.average.state_dict()
    assert all(torch.equal(value, last[name]) for name, value in model.state_dict().items())
    out = tmp_path / "exported" / "1"
    export.export(model, digits, provenance={**this.provenance, **chosen}, out=out)
    card = (out / "MODEL_CARD.md").read_text()
    assert "Trained on the training and the validation rows." in card
    assert "On 180 test rows" in card
    assert "Neither training nor choice has seen these rows." in card
    shorter = dataclasses.replace(digits, test=None)
    monkeypatch.setattr(graphs, "to_onnx", lambda model, name: (out / f"{name}.onnx").read_bytes())  # the same again
    blind = tmp_path / "exported" / "2"
    export.export(model, shorter, provenance={**this.provenance, **chosen}, out=blind)
    assert "The validation rows were trained on, so these figures flatter" in (blind / "MODEL_CARD.md").read_text()
    saved = checkpoint.read(this.run.checkpoint)
    found = gather("run", saved, journal.read(this.run, until=saved.state["step"]), digits, with_baselines=False)
    assert found.chosen.epoch == 2


def test_only_the_weights_of_layers_decay() -> None:
    config = resolve(
        name="default", file=None, flags={"likelihood": "gaussian", "latent_size": 4, "prior": {"hidden": 8}}
    )
    model = Vae(config, (1, 8, 8))
    decaying, others = parameter_groups(model, 0.01)
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.01, 0.0)
    names = {id(weight): name for name, weight in model.named_parameters()}
    assert all(names[id(weight)].endswith(".weight") for weight in decaying["params"])
    bare = {names[id(weight)] for weight in others["params"]}
    assert {"log_sigma", "decoder.bias"} < bare
    assert all(name.endswith("bias") for name in bare - {"log_sigma"})
    assert len(decaying["params"]) + len(others["params"]) == len(names)


def test_a_checkpoint_of_another_optimiser_is_refused_but_can_be_exported(
    digits: Dataset, cpu: Hardware, tmp_path: Path
) -> None:
    this, _ = fitted(configured(epochs=1), digits, cpu, tmp_path / "run")
    saved = checkpoint.read(this.run.checkpoint)
    saved.state["optimiser"]["param_groups"].pop()
    with pytest.raises(checkpoint.TrainingError, match="begun by another version of training"):
        session.resumed(saved, run=this.run, dataset=digits, hardware=cpu)
    assert session.trained_model(saved)[1]["epochs"] == 1
