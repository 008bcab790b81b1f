"""DoReMi: domain weights of a proxy held against a reference."""
