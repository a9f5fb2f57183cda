"""Where moto's CloudFormation has to answer more as AWS does, for the tests of `lensa setup`.

moto compares templates but not what parameters and conditions make of them, knows neither secrets
nor bucket policies in a stack, forgets outputs of a stack that a change set made, and is done at
once. Here a change set says what would really change, and executing it takes one look at the events
for each resource; a resource can be made to fail, and what was done is then taken back.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from moto.cloudformation import models, parsing
from moto.core.common_models import CloudFormationModel
from moto.kms.models import KmsBackend
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends

_PARSE = models.Stack.parse_template
IMMUTABLE = {"BucketName", "Path", "Name"}  # of what the template has: a change makes a new one


class Stacks:
    """CloudFormation, corrected until `close`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failing: dict[str, str] = {}
        """Logical name of a resource -> the reason with which making it fails."""
        self._running: dict[str, Iterator[None]] = {}
        plain = parsing.clean_json
        monkeypatch.setattr(parsing, "clean_json", lambda *given: _without_none(plain(*given)))
        for name in ("get_model_list", "get_model_map", "get_name_type_map"):
            getattr(parsing, name).cache_clear()  # they may be older than the models below
        there = property(
            lambda self: [name for name in self._resource_json_map if _made(self, name)]
        )
        monkeypatch.setattr(parsing.ResourceMap, "resources", there)
        monkeypatch.setattr(models.ChangeSet, "diff", _diff)
        monkeypatch.setattr(models.Stack, "parse_template", staticmethod(_template))
        monkeypatch.setattr(models.ChangeSet, "_parse_template", _read_template)
        make_key = KmsBackend.create_key

        def make_readable(owner: Any, policy: Any, *given: Any, **named: Any) -> Any:
            text = json.dumps(policy) if isinstance(policy, dict) else policy
            return make_key(owner, text, *given, **named)

        monkeypatch.setattr(KmsBackend, "create_key", make_readable)
        backend = models.CloudFormationBackend
        monkeypatch.setattr(backend, "execute_change_set", self._execute)
        events, delete = backend.describe_stack_events, models.Stack.delete

        def look(owner: Any, stack_name: str) -> Any:
            next(self._running.get(owner.get_stack(stack_name).stack_id, iter(())), None)
            return events(owner, stack_name)

        def delete_all_but(stack: Any) -> None:
            for resource in stack.resource_map._resource_json_map.values():
                if resource.get("DeletionPolicy") == "RetainExceptOnCreate":
                    resource["DeletionPolicy"] = "Retain"
            delete(stack)

        monkeypatch.setattr(backend, "describe_stack_events", look)
        monkeypatch.setattr(models.Stack, "delete", delete_all_but)

    def _execute(self, change_set_name: str, stack_name: str | None = None) -> None:
        (backend, found) = next(
            (backend, each)
            for account in models.cloudformation_backends.values()
            for backend in account.values()
            for each in backend.change_sets.values()
            if each.change_set_id == change_set_name
        )
        stack = backend.stacks[found.stack_id]
        self._running[stack.stack_id] = self._steps(stack, found)
        next(self._running[stack.stack_id])

    def _steps(self, stack: Any, change_set: Any) -> Iterator[None]:
        """Do what a change set says, one resource a step."""
        kind = change_set.change_set_type
        before, map = stack.template_dict, stack.resource_map
        _move(stack, f"{kind}_IN_PROGRESS", "User Initiated")
        yield
        for change in change_set.changes:
            name = change.logical_resource_id
            if name in self.failing:
                _tell(stack, change, "CREATE_FAILED", self.failing[name])
                _tell(stack, change, "CREATE_FAILED", "Resource creation cancelled")
                back = "ROLLBACK" if kind == "CREATE" else "UPDATE_ROLLBACK"
                _move(stack, f"{back}_IN_PROGRESS", "The following resource(s) failed")
                yield
                if kind == "CREATE":
                    map.delete()
                _move(stack, f"{back}_COMPLETE")
                return
        removed = [change for change in change_set.changes if change.action == "Remove"]
        for change in removed:
            name = change.logical_resource_id
            parsed, resource = map._parsed_resources.pop(name, None), before["Resources"][name]
            retained = resource.get("DeletionPolicy", "").startswith("Retain")
            if parsed is not None and not retained:
                map._delete_resource(parsed, resource)
            _tell(stack, change, "DELETE_SKIPPED" if retained else "DELETE_COMPLETE")
        map._template = stack.template_dict = change_set.template_dict
        map.input_parameters = stack.parameters = change_set.parameters
        map._resource_json_map = change_set.template_dict["Resources"]
        map.load()
        for change in change_set.changes:
            name = change.logical_resource_id
            if change.action == "Add":
                assert map[name] is not None
                _tell(stack, change, "CREATE_COMPLETE")
            elif change.action == "Modify":
                _update(stack, name)
                _tell(stack, change, "UPDATE_COMPLETE")
            yield
        stack.template, stack.output_map = change_set.template, stack._create_output_map()
        _move(stack, f"{kind}_COMPLETE")


@cache
def _parsed(text: str) -> dict[str, Any]:
    plain: dict[str, Any] = _PARSE(text)
    return plain


def _template(text: str) -> dict[str, Any]:
    """Parse a template once for all tests: in Python alone that takes as long as all else."""
    return copy.deepcopy(_parsed(text))


def _read_template(change_set: Any) -> None:
    change_set.template_dict = _template(change_set.template)


def _update(stack: Any, name: str) -> None:
    map = stack.resource_map
    kind = map._resource_json_map[name]["Type"]
    updates = parsing.resource_class_from_type(kind).update_from_cloudformation_json
    if not hasattr(updates, "__isabstractmethod__"):  # what moto cannot update stays as it is
        map._parsed_resources[name] = parsing.parse_and_update_resource(
            name, map._resource_json_map[name], map, stack.account_id, stack.region_name
        )


def _move(stack: Any, status: str, reason: str | None = None) -> None:
    stack.status = status
    stack._add_stack_event(status, resource_status_reason=reason)


def _tell(stack: Any, change: Any, status: str, reason: str | None = None) -> None:
    name = change.logical_resource_id
    stack.events.append(
        models.Event(
            stack.stack_id, stack.name, name, name, change.resource_type, status, reason, ""
        )
    )


def _made(map: Any, name: str) -> bool:
    condition = map._resource_json_map[name].get("Condition")
    return condition is None or bool(map.lazy_condition_map[condition])


def _without_none(value: Any) -> Any:
    """AWS::NoValue takes an entry out of a list; moto leaves None there."""
    return [each for each in value if each is not None] if isinstance(value, list) else value


# --- what a change set would change ---


def _diff(change_set: Any) -> list[Any]:
    stack = change_set.stack
    old = resolved(stack.template_dict, stack.parameters) if stack.template_dict else {}
    new = resolved(change_set.template_dict, change_set.parameters)
    kinds = {name: each["Type"] for name, each in {**old, **new}.items()}
    actions = [("Add", name) for name in new if name not in old]
    actions += [("Modify", name) for name in new if name in old and new[name] != old[name]]
    actions += [("Remove", name) for name in old if name not in new]
    found = []
    for action, name in actions:
        change = models.Change(action, name, kinds[name])
        if action == "Modify":
            was, is_now = old[name]["Properties"], new[name]["Properties"]
            replaced = any(was.get(each) != is_now.get(each) for each in IMMUTABLE)
            change.replacement = "True" if replaced else "False"
        found.append(change)
    return found


def resolved(template: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the resources that a template makes of its parameters; other references stay."""
    values = {name: each.get("Default") for name, each in template["Parameters"].items()} | given
    values = {name: str(value) for name, value in values.items()}
    conditions = template["Conditions"]

    def holds(condition: Any) -> bool:
        ((function, inner),) = condition.items()
        if function == "Condition":
            return holds(conditions[inner])
        if function == "Fn::Equals":
            return bool(value_of(inner[0]) == value_of(inner[1]))
        if function == "Fn::Not":
            return not holds(inner[0])
        return (any if function == "Fn::Or" else all)(holds(each) for each in inner)

    def value_of(part: Any) -> Any:
        if isinstance(part, list):
            return _without_none([value_of(each) for each in part])
        if not isinstance(part, dict):
            return _substituted(part, values) if isinstance(part, str) else part
        if "Ref" in part:
            if part["Ref"] == "AWS::NoValue":
                return None
            return values.get(part["Ref"], part)
        if "Fn::If" in part:
            condition, yes, no = part["Fn::If"]
            return value_of(yes if holds(conditions[condition]) else no)
        return {key: value_of(each) for key, each in part.items()}

    return {
        name: value_of(each)
        for name, each in template["Resources"].items()
        if "Condition" not in each or holds(conditions[each["Condition"]])
    }


def _substituted(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    return text


# --- what moto knows of no stack ---


class Secret(CloudFormationModel):
    """AWS::SecretsManager::Secret, empty as the template makes it."""

    __module__ = "moto.secretsmanager"  # moto files its models under the name of a service

    def __init__(self, arn: str) -> None:
        self.physical_resource_id = arn

    @staticmethod
    def cloudformation_name_type() -> str:
        return "Name"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::SecretsManager::Secret"

    @classmethod
    def create_from_cloudformation_json(
        cls, name: str, source: Any, account: str, region: str, **_: Any
    ) -> Secret:
        backend = secretsmanager_backends[account][region]
        secret, _version = backend._add_secret(name, secret_string=None, secret_binary=None)
        return cls(secret.arn)

    def delete(self, account: str, region: str) -> None:
        secretsmanager_backends[account][region].delete_secret(
            self.physical_resource_id,
            recovery_window_in_days=None,
            force_delete_without_recovery=True,
        )


class BucketPolicy(CloudFormationModel):
    """AWS::S3::BucketPolicy."""

    __module__ = "moto.s3"

    def __init__(self, bucket: str) -> None:
        self.physical_resource_id = bucket

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::S3::BucketPolicy"

    @classmethod
    def create_from_cloudformation_json(
        cls, name: str, source: Any, account: str, region: str, **_: Any
    ) -> BucketPolicy:
        given = source["Properties"]
        policy = json.dumps(given["PolicyDocument"]).encode()
        s3_backends[account]["aws"].put_bucket_policy(given["Bucket"], policy)
        return cls(given["Bucket"])
