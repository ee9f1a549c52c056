"""One file per way of carrying the method table over the network."""
