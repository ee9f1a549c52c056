"""The mathematics of a variational autoencoder, computed by the batchers of its graphs."""
