"""One step on a real model: loss and gradient of every objective, and short runs with each."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal

from training.config.config import Config
from training.config.resolve import resolve
from training.datasets import Dataset
from training.export import export, graphs
from training.model.objective import (
    Posterior,
    Terms,
    elbo,
    importance_weighted_bound,
    kl_at_draw,
    kl_per_latent,
    kl_to_standard_normal,
    log_standard_normal,
    reparameterise,
)
from training.model.vae import Vae, initialise
from training.randomness import generator
from training.report import journal
from training.report.findings import gather
from training.run import checkpoint, folder, session
from training.run.distributed import Ranks
from training.run.hardware import Hardware
from training.run.minibatches import Minibatch, Minibatches
from training.run.progress import EpochDone, Event
from training.run.schedule import objective as scheduled
from training.run.session import Session
from training.run.state import parameter_groups
from training.run.step import (
    Objective,
    draw,
    elbo_terms,
    free_bits_kl,
    kl_along_path,
    log_importance_weights,
    loss,
    minibatch_loss,
)


def configured(*, prior: bool = False, **optimisation: object) -> Config:
    flags: dict[str, object] = {"latent_size": 3, "optimisation": {"epochs": 3, **optimisation}}
    return resolve(name="tiny", file=None, flags={**flags, "prior": {"couplings": 2, "hidden": 8}} if prior else flags)


def model_of(config: Config, digits: Dataset) -> Vae:
    model = Vae(config, digits.item_shape)
    initialise(model, mean_item=digits.mean_item(), generator=generator(0, "weights"))
    with torch.no_grad():  # a posterior that is not the prior: warm latents make the bounds differ
        model.encoder.mean.weight.mul_(5)
        model.decoder.body.layers[0].weight.mul_(5)  # type: ignore[union-attr, operator, index]
    return model


def batch_of(config: Config, digits: Dataset, cpu: Hardware) -> Minibatch:
    return Minibatches(digits.train.rows, config, cpu).at(0, draws=config.optimisation.importance_draws)


def objective_of(config: Config, *, kl_weight: float = 1.0) -> Objective:
    """In the last epoch."""
    return scheduled(config.optimisation, epoch=config.optimisation.epochs - 1, kl_weight=kl_weight)


def loss_and_gradients(
    config: Config, digits: Dataset, cpu: Hardware, *, kl_weight: float = 1.0
) -> tuple[Tensor, dict[str, Tensor]]:
    model = model_of(config, digits)
    objective = objective_of(config, kl_weight=kl_weight)
    value = loss(model, batch_of(config, digits, cpu), objective, hardware=cpu).value
    value.backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return value, gradients


def fitted(config: Config, digits: Dataset, cpu: Hardware, path: Path) -> tuple[Session, list[EpochDone]]:
    this = session.new(config, run=folder.create(path), source="digits", dataset=digits, hardware=cpu)
    events: list[Event] = []
    assert this.fit(observe=events.append, stopping=lambda: False, clock=lambda: 0.0)
    return this, [event for event in events if isinstance(event, EpochDone)]


def weights(this: Session) -> list[Tensor]:
    return [*this.state.model.state_dict().values(), *this.state.average.state_dict().values()]


def posterior(rows: int = 3, latent: int = 4) -> Posterior:
    draws = torch.Generator().manual_seed(0)
    return Posterior(
        torch.randn(rows, latent, generator=draws, dtype=torch.float64),
        torch.randn(rows, latent, generator=draws, dtype=torch.float64),
    )


OBJECTIVES: dict[str, dict[str, object]] = {
    "elbo": {},
    "path": {"gradient": "path"},
    "free bits": {"free_bits": 4.0},
    "iwae": {"bound": "iwae", "importance_draws": 3},
    "dreg": {"bound": "dreg", "importance_draws": 3},
}


@pytest.mark.parametrize("kl_weight", [1.0, 0.4])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_loss_is_the_formula_of_its_objective(name: str, kl_weight: float, digits: Dataset, cpu: Hardware) -> None:
    """Written again with torch's own distributions, for a Bernoulli likelihood and the prior N(0, I)."""
    config = configured(**OBJECTIVES[name])
    model, batch = model_of(config, digits), batch_of(config, digits, cpu)
    value = loss(model, batch, objective_of(config, kl_weight=kl_weight), hardware=cpu).value
    mean, log_var = model.encoder(batch.x)
    q, p = Normal(mean, torch.exp(log_var / 2)), Normal(0.0, 1.0)
    z = q.mean[:, None] + q.stddev[:, None] * batch.noise  # [rows, k, latent]
    logits = torch.stack([model.decoder(z[:, index]) for index in range(z.shape[1])], dim=1)
    explained = Bernoulli(logits=logits).log_prob(batch.x[:, None]).flatten(2).sum(2)  # [rows, k]
    divergence = torch.distributions.kl_divergence(q, p)  # [rows, latent]
    log_ratio = Normal(q.mean[:, None], q.stddev[:, None]).log_prob(z).sum(2) - p.log_prob(z).sum(2)  # [rows, k]
    weighted = torch.logsumexp(explained - kl_weight * log_ratio, 1) - math.log(z.shape[1])
    expected = {
        "elbo": kl_weight * divergence.sum(1).mean() - explained.mean(),
        "path": kl_weight * log_ratio.mean() - explained.mean(),
        "free bits": kl_weight * divergence.mean(0).clamp(min=4.0).sum() - explained.mean(),
        "iwae": -weighted.mean(),
        "dreg": -weighted.mean(),
    }
    torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("prior", [False, True])
@pytest.mark.parametrize("name", ["elbo", "path", "iwae", "dreg"])
def test_the_mode_of_the_model_changes_no_mathematics(name: str, prior: bool, digits: Dataset, cpu: Hardware) -> None:
    config = configured(prior=prior, **OBJECTIVES[name])
    model, batch = model_of(config, digits), batch_of(config, digits, cpu)
    results = []
    for mode in (True, False):
        model.train(mode).zero_grad()
        value, terms = loss(model, batch, objective_of(config), hardware=cpu)
        value.backward()
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        draws = draw(model, batch.x, batch.noise, autocast=cpu.autocast())
        results.append([value, *terms, *gradients, *elbo_terms(model, draws)])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


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


def test_iwae_and_dreg_maximise_the_same_bound_and_move_the_decoder_alike(digits: Dataset, cpu: Hardware) -> None:
    iwae, by_iwae = loss_and_gradients(configured(bound="iwae", importance_draws=4), digits, cpu)
    dreg, by_dreg = loss_and_gradients(configured(bound="dreg", importance_draws=4), digits, cpu)
    torch.testing.assert_close(iwae, dreg)
    for name in by_iwae:
        alike = torch.allclose(by_iwae[name], by_dreg[name], rtol=1e-4, atol=1e-5)
        assert alike == name.startswith("decoder"), name


def test_more_draws_give_a_higher_bound_of_the_same_rows(digits: Dataset, cpu: Hardware) -> None:
    model = model_of(configured(), digits)
    x = digits.train.rows[:200] / 255
    with torch.inference_mode():
        noise = torch.randn(200, 64, 3, generator=torch.Generator().manual_seed(0))
        many, few = (draw(model, x, some, autocast=cpu.autocast()) for some in (noise, noise[:, :4]))
        of_many, of_few = (
            importance_weighted_bound(log_importance_weights(model, draws)).mean() for draws in (many, few)
        )
        assert elbo(elbo_terms(model, many)).mean() < of_many - 0.1
        assert of_few < of_many


def test_the_journal_gets_the_parts_of_the_elbo_whatever_the_bound(digits: Dataset, cpu: Hardware) -> None:
    """Averaged over many draws, log q - log p is the KL of the closed form."""
    config = configured(bound="iwae", importance_draws=400)
    model, batch = model_of(config, digits), batch_of(config, digits, cpu)
    terms = loss(model, batch, objective_of(config), hardware=cpu).terms
    expected = elbo_terms(model, draw(model, batch.x, batch.noise, autocast=cpu.autocast()))
    torch.testing.assert_close(terms.log_likelihood, expected.log_likelihood)
    torch.testing.assert_close(terms.kl.mean(), expected.kl.mean(), rtol=0, atol=0.1)


def test_free_bits_raise_the_cost_to_their_floor(digits: Dataset, cpu: Hardware) -> None:
    free, by_free = loss_and_gradients(configured(free_bits=50.0), digits, cpu)
    plain = configured()
    model, batch = model_of(plain, digits), batch_of(plain, digits, cpu)
    terms = loss(model, batch, objective_of(plain), hardware=cpu).terms
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
    terms = elbo_terms(model, draw(model, batch.x, batch.noise, autocast=cpu.autocast()))
    assert terms.kl.mean() < 100  # all latents are above the floor: their KL counts as it is
    value = loss(model, batch, objective_of(config), hardware=shared).value
    torch.testing.assert_close(value, (terms.kl - terms.log_likelihood).mean())


def test_the_gradient_along_the_path_is_that_of_the_kl_on_average() -> None:
    q = posterior(rows=1)
    mean, log_var = (part.expand(200_000, -1).clone().requires_grad_() for part in q)
    every = Posterior(mean, log_var)
    noise = torch.randn(200_000, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z = reparameterise(every, noise)
    kl = kl_along_path(every, z, log_standard_normal(z))
    torch.testing.assert_close(kl, kl_at_draw(every, z, log_standard_normal(z)))
    inputs = [part.clone().requires_grad_() for part in q]
    exact = torch.autograd.grad(kl_to_standard_normal(Posterior(*inputs)).sum(), inputs)
    for samples, expected in zip(torch.autograd.grad(kl.sum(), [mean, log_var]), exact, strict=True):
        standard_error = samples.std(0) / math.sqrt(len(samples))
        assert torch.all((samples.mean(0) - expected[0]).abs() < 4 * standard_error)


def test_the_gradient_along_the_path_is_zero_once_q_is_the_true_posterior() -> None:
    """At every single draw, not only on average."""
    q = Posterior(torch.zeros(5, 3, requires_grad=True), torch.zeros(5, 3, requires_grad=True))
    z = reparameterise(q, torch.randn(5, 3, generator=torch.Generator().manual_seed(1)))
    kl = kl_along_path(q, z, log_standard_normal(z))
    for gradient in torch.autograd.grad(kl.sum(), list(q)):
        assert gradient.abs().max().item() < 1e-6


def test_the_minibatch_loss_is_the_mean_negative_elbo_and_unbiased_over_minibatches() -> None:
    terms = Terms(torch.tensor([-10.0, -20.0, -30.0, -40.0]), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    whole = minibatch_loss(terms, 1.0)
    assert whole.item() == pytest.approx(-elbo(terms).mean().item())
    parts = [
        minibatch_loss(Terms(terms.log_likelihood[rows], terms.kl[rows]), 1.0) for rows in (slice(0, 2), slice(2, 4))
    ]
    assert (sum(parts) / 2).item() == pytest.approx(whole.item())


def test_warm_up_weighs_only_the_kl() -> None:
    terms = Terms(torch.tensor([-10.0]), torch.tensor([4.0]))
    assert minibatch_loss(terms, 0.25).item() == pytest.approx(11.0)


def test_free_bits_cost_nothing_up_to_their_number_and_have_no_gradient_there() -> None:
    q = Posterior(torch.tensor([[0.1, 2.0, 0.0], [0.3, -2.0, 0.0]], requires_grad=True), torch.zeros(2, 3))
    per_latent = kl_per_latent(q)  # means over rows: 0.025, 2, 0
    kl = free_bits_kl(per_latent, per_latent.mean(0), 0.5)
    assert kl.item() == pytest.approx(0.5 + 2.0 + 0.5)
    (gradient,) = torch.autograd.grad(kl, [q.mean])
    assert gradient.tolist() == [[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]


def test_without_a_floor_free_bits_are_the_kl() -> None:
    per_latent = kl_per_latent(posterior())
    whole = free_bits_kl(per_latent, per_latent.mean(0), 0.0)
    torch.testing.assert_close(whole, kl_to_standard_normal(posterior()).mean())


def test_free_bits_look_at_the_whole_minibatch_of_which_these_rows_may_be_a_part() -> None:
    per_latent = kl_per_latent(posterior(rows=4))
    mean = per_latent.mean(0)
    whole = free_bits_kl(per_latent, mean, 0.6)
    parts = [free_bits_kl(per_latent[rows], mean, 0.6) for rows in (slice(0, 1), slice(1, 4))]
    torch.testing.assert_close(parts[0] / 4 + parts[1] * 3 / 4, whole)


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
    second = session.resume(saved, run=first.run, dataset=digits, hardware=cpu)
    assert second.fit(observe=lambda event: None, stopping=lambda: False, clock=lambda: 0.0)
    assert all(torch.equal(one, other) for one, other in zip(weights(whole), weights(second), strict=True))


def test_the_importance_weighted_bound_chooses_the_epoch_where_it_is_maximised(
    digits: Dataset, cpu: Hardware, tmp_path: Path
) -> None:
    this, epochs = fitted(configured(bound="dreg", importance_draws=5), digits, cpu, tmp_path / "run")
    assert all(epoch.bound is not None and epoch.bound > epoch.validation.elbo for epoch in epochs)
    assert this.state.best is not None
    assert this.state.best.bound == max(epoch.bound for epoch in epochs if epoch.bound is not None)


def test_the_bound_is_maximised_in_the_last_part_of_the_epochs_and_the_elbo_before(
    digits: Dataset, cpu: Hardware, tmp_path: Path
) -> None:
    late = configured(bound="dreg", importance_draws=4, bound_fraction=0.3, gradient="path")
    objectives = [scheduled(late.optimisation, epoch=epoch, kl_weight=1.0) for epoch in range(3)]
    assert [(objective.bound, objective.draws) for objective in objectives] == [("elbo", 1), ("elbo", 1), ("dreg", 4)]
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
    with pytest.raises(checkpoint.TrainingError, match="started by another version of training"):
        session.resume(saved, run=this.run, dataset=digits, hardware=cpu)
    assert session.trained_model(saved)[1]["epochs"] == 1
