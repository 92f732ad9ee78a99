"""The prepared data of a run, on disk: films in shards, tables, and the federation over them."""
