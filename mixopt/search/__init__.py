"""Search methods: pure functions of history."""
