"""The process becomes Envoy, and Envoy holds the server."""
