"""From a stack's outputs to the settings that lensa.toml holds."""

from __future__ import annotations

from collections.abc import Mapping

_SETTINGS = {
    "Bucket": "bucket",
    "Prefix": "prefix",
    "ExecutionRoleArn": "role",
    "SchedulerRoleArn": "scheduler_role",
    "KeyArn": "kms_key",
}
_OF_A_JOB = {"HubSecretArn": "hub_secret", "WandbSecretArn": "wandb_secret"}
_OF_AN_ENDPOINT = {"HubSecretArn": "hub_secret"}


def settings(outputs: Mapping[str, str], region: str) -> dict[str, str | dict[str, str]]:
    """Return the settings that let lensa use what the stack made."""
    found: dict[str, str | dict[str, str]] = {"backend": "sagemaker", "region": region}
    found |= _named(outputs, _SETTINGS)
    tables = {"sagemaker": _named(outputs, _OF_A_JOB), "deploy": _named(outputs, _OF_AN_ENDPOINT)}
    return {**found, **{name: table for name, table in tables.items() if table}}


def _named(outputs: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    return {name: outputs[output] for output, name in names.items() if output in outputs}
