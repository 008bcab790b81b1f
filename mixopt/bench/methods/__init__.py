"""Search methods written for replays: a file each."""
