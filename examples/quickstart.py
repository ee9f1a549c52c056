"""The client in a few lines. Start a server first (`make serve`), then: python examples/quickstart.py"""

import vaeserve
from vaeserve import grid

with vaeserve.Client("127.0.0.1:50051") as client:
    model = client.get_model()
    print(f"{model.summary.model}: items {model.item_shape}, {model.latent_size} latents")

    samples = client.sample(64, seed=5)  # .items [64, channels, height, width], float32
    grid.picture(samples.items).save("samples.png")

    posteriors = client.encode(samples.items, want_kl=True)
    print(f"embeddings {posteriors.mean.shape} in space {posteriors.embedding_space[:12]}")

    reconstructions = client.reconstruct(samples.items)
    print(f"mean ELBO {reconstructions.elbo.mean():.1f} nats")

    try:
        client.encode(samples.items[:, :, :4])
    except vaeserve.InvalidInput as error:
        print(f"as expected: {error}")
