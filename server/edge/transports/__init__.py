"""Transports: the ways to carry the methods of the table over the network."""
