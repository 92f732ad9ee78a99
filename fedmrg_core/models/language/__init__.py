"""Language models, one file each. A new file with `@language_model(name)` is found without any other edit."""
