"""Compares our server with other servers of the same graphs, each in its own environment, under the same load."""
