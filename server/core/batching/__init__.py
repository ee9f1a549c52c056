"""Batching: the rows of many calls run through a graph together."""
