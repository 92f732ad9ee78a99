"""Visual encoders, one file each. A new file with `@encoder(name)` is found without any other edit."""
