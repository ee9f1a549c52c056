"""Rows that Reconstruct scores are counted between the quantiles of held-out rows, each of them once."""

import dataclasses
import math

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from server.core.events import RowsScored
from server.core.likelihood import Bernoulli
from server.core.spec import Spec
from server.telemetry.drift import BOUNDS, FOLD_CALLS, FOLD_ROWS, Drift
from server.telemetry.merging import dump, load, merge

RANKS = np.arange(101.0)
SPEC = Spec(
    digest="d",
    embedding_space="e",
    item_shape=(1, 2, 2),
    value_range=(0.0, 1.0),
    latent_size=2,
    likelihood=Bernoulli(),
    learned_prior=False,
    sampling_version=1,
    metrics={},
    elbo_percentiles={"mean": RANKS, "draw": RANKS},
    nll_percentiles={"mean": RANKS, "draw": RANKS + 1000},
    kl_percentiles={"mean": RANKS / 10, "draw": RANKS / 10},
)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def drift(registry) -> Drift:
    drift = Drift()
    drift.watch("m", "1", SPEC)
    registry.register(drift)
    return drift


def scored(nll, *, kl=None, percentile=None, latent="mean") -> RowsScored:
    rows = np.array(nll, np.float32)
    kl = np.array(kl if kl is not None else np.zeros(len(rows)), np.float32)
    percentile = np.array(percentile if percentile is not None else np.full(len(rows), 50.0), np.float32)
    return RowsScored("m", "1", latent, rows, kl, percentile)


def bucket(registry: CollectorRegistry, le: str, *, latent: str = "mean", name: str = "vae_reconstruction_nll"):
    return registry.get_sample_value(f"{name}_bucket", {"model": "m", "version": "1", "latent": latent, "le": le})


def test_rows_fall_into_the_buckets_of_their_own_latent_mode(drift, registry):
    drift.observe(scored([10.0, 10.5, 95.0, 200.0]))
    drift.observe(scored([1005.0], latent="draw"))
    assert [bucket(registry, le) for le in ("1.0", "10.0", "20.0", "90.0", "99.0", "+Inf")] == [0, 1, 2, 2, 3, 4]
    assert [bucket(registry, le, latent="draw") for le in ("1001.0", "1010.0", "+Inf")] == [0, 1, 1]
    labels = {"model": "m", "version": "1", "latent": "mean"}
    assert registry.get_sample_value("vae_reconstruction_nll_sum", labels) == 315.5


def test_every_series_is_there_before_the_first_row(drift, registry):
    assert bucket(registry, "+Inf", latent="draw", name="vae_kl_nats") == 0
    assert registry.get_sample_value("vae_outlier_rows_total", {"model": "m", "version": "1", "latent": "draw"}) == 0


def test_the_shares_are_those_between_the_buckets_bounds_and_add_up_to_one(drift, registry):
    shares = {
        (s.labels["lower"], s.labels["upper"]): s.value
        for family in registry.collect()
        for s in family.samples
        if s.name == "vae_training_share" and s.labels["quantity"] == "kl" and s.labels["latent"] == "mean"
    }
    assert shares["-Inf", "0.1"] == 0.01
    assert shares["0.1", "1.0"] == 0.09
    assert shares["1.0", "2.0"] == 0.1
    assert shares["9.9", "+Inf"] == 0.01
    assert len(shares) == len(BOUNDS) + 1
    assert math.fsum(shares.values()) == pytest.approx(1.0)
    assert all(bucket(registry, upper, name="vae_kl_nats") == 0 for _, upper in shares)


def test_quantiles_that_are_equal_are_one_bound_with_all_their_rows(registry):
    drift = Drift()
    constant = np.where(RANKS < 50, 0.0, 1.0)
    drift.watch("m", "1", dataclasses.replace(SPEC, kl_percentiles={"mean": constant, "draw": constant}))
    registry.register(drift)
    labels = {"model": "m", "version": "1", "latent": "mean", "quantity": "kl"}
    for lower, upper, share in (("-Inf", "0.0", 0.4), ("0.0", "1.0", 0.59), ("1.0", "+Inf", 0.01)):
        assert registry.get_sample_value("vae_training_share", {**labels, "lower": lower, "upper": upper}) == share


def test_rows_below_the_first_percentile_of_the_elbo_or_without_one_are_outliers(drift, registry):
    drift.observe(scored([1.0, 2.0, 3.0, 4.0], percentile=[0.5, 1.0, 99.0, math.nan]))
    assert registry.get_sample_value("vae_outlier_rows_total", {"model": "m", "version": "1", "latent": "mean"}) == 2


@pytest.mark.parametrize("wild", [math.inf, math.nan])
def test_a_value_that_is_not_finite_is_above_every_bound_and_leaves_the_sum_alone(drift, registry, wild):
    drift.observe(scored([3.0, wild]))
    assert [bucket(registry, "99.0"), bucket(registry, "+Inf")] == [1, 2]
    labels = {"model": "m", "version": "1", "latent": "mean"}
    assert registry.get_sample_value("vae_reconstruction_nll_sum", labels) == 3.0


def test_no_row_is_lost_or_counted_twice_however_many_come_between_scrapes(drift, registry):
    for _ in range(2 * FOLD_CALLS + 3):
        drift.observe(scored([5.0]))
    drift.observe(scored(np.full(FOLD_ROWS + 1, 5.0)))
    assert bucket(registry, "+Inf") == bucket(registry, "+Inf") == 2 * FOLD_CALLS + 3 + FOLD_ROWS + 1


def test_models_with_negative_bounds_can_be_exposed_and_merged_too(registry):
    drift = Drift()
    below = {"mean": RANKS - 200, "draw": RANKS - 200}
    drift.watch("m", "1", dataclasses.replace(SPEC, nll_percentiles=below, kl_percentiles=below))
    registry.register(drift)
    drift.observe(scored([-150.0], kl=[-150.0]))
    one = load(dump(registry.collect()))
    samples = [sample for family in merge([one, one]) for sample in family.samples]
    merged = {(s.name, s.labels["le"]): s.value for s in samples if s.labels["latent"] == "mean" and "le" in s.labels}
    # OpenMetrics knows no sum and count of histograms that may be negative; PromQL has the bucket +Inf.
    assert merged["vae_reconstruction_nll_bucket", "+Inf"] == 2
    assert b"vae_reconstruction_nll_sum" not in generate_latest(registry)


def test_the_share_of_held_out_rows_does_not_add_up_over_workers(drift, registry):
    one = load(dump(registry.collect()))
    (shares,) = (family for family in merge([one, one]) if family.name == "vae_training_share")
    assert max(sample.value for sample in shares.samples) == 0.1


def test_a_forgotten_version_has_no_series_and_its_last_calls_are_ignored():
    drift = Drift()
    drift.watch("m", "1", SPEC)
    drift.watch("m", "2", SPEC)
    drift.forget("m", "1")
    drift.observe(scored([1.0]))
    versions = {sample.labels["version"] for family in drift.collect() for sample in family.samples}
    assert versions == {"2"}
