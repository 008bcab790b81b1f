"""DDO: perturb each domain, fit a law to each, solve."""
