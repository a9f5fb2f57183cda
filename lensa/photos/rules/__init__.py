"""What the coach finds: a file a group of findings, each a function from photos to findings."""
