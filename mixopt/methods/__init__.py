"""Search methods: a folder or a file each."""
