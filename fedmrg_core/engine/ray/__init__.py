"""Ray: its instance, the pool of actors, their placement and the nodes' checks. The only package that imports ray."""
