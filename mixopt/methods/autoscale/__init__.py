"""AutoScale: DDO at scales that can be afforded, carried on to the target."""
