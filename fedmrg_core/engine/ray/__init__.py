"""Ray: the pool of actors, where they go, what each node must have. The only package that imports ray."""
