"""A trained model becomes an artifact: graphs, proofs, pictures and a model card."""
