"""What the server's Score says is what `evaluate` would say of the same draws."""

import numpy as np
import torch

from server import artifact as artifacts
from server.catalog.loader import spec_of
from server.core.batching.batcher import Batcher
from server.core.batching.offload import Offload
from server.core.batching.scheduler import Scheduler
from server.core.batching.ticket import drive
from server.core.call import Call
from server.core.vae.score import score
from server.core.vae.vae import Vae
from server.engine import engine
from training.evaluation import exported_model
from training.model.objective import Posterior, importance_weighted_bound, log_normal, log_weights

ROWS, SAMPLES, SEED = 5, 40, 11


def test_the_server_scores_as_training_evaluates(artifact):
    model = exported_model.load(artifact, threads=1)
    x = np.random.default_rng(0).integers(0, 2, (ROWS, *model.manifest.item.shape)).astype(np.float32)
    verified = artifacts.read(artifact)
    loaded = engine.load(verified)
    batchers = {
        name: Batcher(graph, scheduler=Scheduler(max_batch_rows=16, max_queued_rows=10**5, max_queued_bytes=10**8))
        for name, graph in loaded.graphs.items()
    }
    vae = Vae(spec_of(verified.manifest), batchers)
    assert vae.spec.learned_prior
    offload = Offload(threads=1, deliver=lambda work: work())
    call = Call(float("inf"), priority="bulk")
    result = drive(score(vae, x, samples=SAMPLES, seed=SEED, first_row=2, call=call, offload=offload)).wait(60.0)
    posterior = drive(vae.encode(x, call=call)).wait(60.0)
    z = vae.draws(posterior, draws=SAMPLES, seed=SEED, first_row=2)  # [rows, samples, latent], as Encode returns them
    for batcher in batchers.values():
        batcher.close()
    offload.close()

    items = torch.from_numpy(x)
    encoded = model.encode(items)
    for row in range(ROWS):
        here = Posterior(encoded.mean[row : row + 1], encoded.log_var[row : row + 1])
        draws = torch.from_numpy(z[row])
        _, output = model.decode(draws)
        weights = log_weights(
            model.log_likelihood(items[row : row + 1], output), model.log_prior(draws), log_normal(draws, here)
        ).double()
        # float32 sums of hundreds of nats, in another order.
        assert abs(result.log_evidence[row] - importance_weighted_bound(weights[None]).item()) < 2e-3
        assert abs(result.elbo[row] - weights.mean().item()) < 2e-3
