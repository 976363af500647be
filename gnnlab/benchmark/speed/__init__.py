"""Speed and memory measured against named peers: what ``gnnlab bench`` runs."""
