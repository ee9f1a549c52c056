"""promtool accepts the form and the names of the metrics, from one process and from several."""

import numpy as np
import pytest
from support.monitoring import promtool
from support.server import server

import vaeserve

pytestmark = pytest.mark.e2e
DRIFT = ("vae_reconstruction_nll_bucket", "vae_kl_nats_bucket")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_promtool_has_nothing_to_say_against_the_exposition_and_every_row_is_in_it(models, workers):
    with server(models, "--default-model", "tiny", "--workers", workers) as process:
        with vaeserve.Client(process.target, channels=8) as client:
            rows = np.random.default_rng(0).random((3, 1, 4, 4), np.float32)
            for latent in ("mean", "draw"):
                for _ in range(8):
                    client.reconstruct(rows, latent=latent)
        for latent in ("mean", "draw"):
            seen = {name: process.sum(name, model="tiny", latent=latent, le="+Inf") for name in DRIFT}
            assert seen == dict.fromkeys(DRIFT, 24)
        assert process.sum("vae_training_share", model="tiny", latent="mean", quantity="kl") == pytest.approx(1.0)
        promtool("check", "metrics", text=process.exposition())
