"""Where runs are trained: in this process, or on Ray."""
