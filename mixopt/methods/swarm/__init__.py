"""One-shot searches: a swarm of mixtures, a law, its optimum."""
