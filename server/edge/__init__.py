"""The edge: everything between the network and the models' computations. It knows no model files."""
