"""SageMaker's hosting in the twin: models, configurations, and endpoints that really answer."""
