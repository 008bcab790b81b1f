"""Gaussian processes, as ADSO and the swarm's regressor use them."""
