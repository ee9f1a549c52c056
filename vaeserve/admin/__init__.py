"""What only those who run a server may ask of it: generated stubs in v1."""
