"""Several server processes on one port: what `server.supervisor` drives them with."""
