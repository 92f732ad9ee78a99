"""What a generated report is worth: text overlap (`nlg`), clinical efficacy (`clinical`, `labeler`), intervals and
tests (`stats`), all of it together in `scorecard`. Nothing here imports torch or starts Java until it is called."""
