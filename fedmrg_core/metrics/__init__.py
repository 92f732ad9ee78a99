"""How good a generated report is: text overlap (`nlg`), clinical efficacy (`clinical`, `labeler`), intervals (`stats`),
paired tests (`compare`), and all metrics together (`scorecard`). `catalogue` lists them; `registered/` has one file for
each further metric. Nothing here imports torch or starts Java until it is called."""
