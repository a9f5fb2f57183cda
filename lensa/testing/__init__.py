"""Public pytest fixtures: AWS as moto has it, with what lensa needs and moto lacks."""
