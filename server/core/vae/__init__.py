"""The mathematics of a variational autoencoder over the batchers of its graphs."""
