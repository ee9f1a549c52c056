"""The variational autoencoder in torch: networks, prior, likelihood, and the equations of its objective."""
