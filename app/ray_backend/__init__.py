"""The runner on a Ray cluster: one front end, and as many replicas with a GPU as there is work."""
