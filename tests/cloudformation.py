"""infra/cloudformation/lensa.yaml as data: its resources, and what their policies say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from lensa.backends.sagemaker.stack import template


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's functions, each as one key: !Ref X is {"Ref": "X"}."""


def _function(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in {"Ref", "Condition"} else f"Fn::{tag}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    raise AssertionError(f"!{tag} on a mapping")


_Loader.add_multi_constructor("!", _function)
TEMPLATE: dict[str, Any] = yaml.load(template.template_body(), _Loader)
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]


def policies(name: str) -> Iterator[dict[str, Any]]:
    """Every policy document of a resource."""
    properties = RESOURCES[name]["Properties"]
    yield from (policy["PolicyDocument"] for policy in properties.get("Policies", []))
    if "PolicyDocument" in properties:
        yield properties["PolicyDocument"]


def statements(*names: str) -> list[dict[str, Any]]:
    """The statements of resources, those that depend on a condition as if it held."""
    found = [
        each for name in names for document in policies(name) for each in document["Statement"]
    ]
    return [each["Fn::If"][1] if "Fn::If" in each else each for each in found]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def actions(statement: dict[str, Any]) -> set[str]:
    return set(listed(statement["Action"]))


def resources(statement: dict[str, Any]) -> list[str]:
    found = [
        each.get("Fn::Sub", each) if isinstance(each, dict) else each
        for each in listed(statement["Resource"])
    ]
    return [str(each).replace("AWS::", "") for each in found]  # an ARN is told apart by its colons


IAM = [name for name, each in RESOURCES.items() if each["Type"].startswith("AWS::IAM::")]
OF_THE_EXECUTION_ROLE = [name for name in IAM if name.startswith("ExecutionRole")]
