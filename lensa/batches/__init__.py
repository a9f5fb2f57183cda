"""Many avatars at once: a file with a row a person, a job a row, a gallery each."""
