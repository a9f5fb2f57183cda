"""Training on AWS SageMaker."""
