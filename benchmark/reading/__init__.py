"""One page on which a person reads film, reference and the reports of several runs side by side (`fedmrg read`)."""
