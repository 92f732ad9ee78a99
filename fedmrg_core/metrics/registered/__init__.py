"""One file per registered metric (docs/adding-a-metric.md); the catalogue imports every module of this folder."""
