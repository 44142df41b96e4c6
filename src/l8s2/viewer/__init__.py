"""Products on a page of this machine: what is shown, the server, and the page itself in ``static``."""
