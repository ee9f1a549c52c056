"""The admin API, for operators only: generated stubs in v1."""
