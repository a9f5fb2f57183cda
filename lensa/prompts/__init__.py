"""Ready-made styles, and how the user's words go into them."""
