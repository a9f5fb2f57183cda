"""Endpoints on SageMaker: deployed, asked, listed, and never forgotten."""
