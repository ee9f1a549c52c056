"""Model versions come and go: found in a folder, loaded, routed to, unloaded."""
