"""What the stack of `lensa setup` permits: what is called, of what is ours, and nothing more."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from cloudformation import (
    IAM,
    OF_THE_EXECUTION_ROLE,
    RESOURCES,
    TEMPLATE,
    actions,
    policies,
    resources,
    statements,
)

from lensa.backends.sagemaker import images
from lensa.backends.sagemaker.refusal_table import S3_ACTIONS

SAGEMAKER = Path(images.__file__).parent

# Of these AWS takes no smaller resource; most only look.
WITHOUT_A_RESOURCE = {
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:DescribeScalingPolicies",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:PutMetricData",  # limited by its namespace
    "ecr:GetAuthorizationToken",
    "pricing:GetProducts",
    "sagemaker:ListEndpointConfigs",
    "sagemaker:ListEndpoints",
    "sagemaker:ListModels",
    "sagemaker:ListTrainingJobs",
    "scheduler:ListSchedules",
    "servicequotas:GetServiceQuota",
    "servicequotas:ListServiceQuotas",
}

# Parts of ARNs that are lensa's; alarms and scalable targets have names of AWS's.
OURS = re.compile(
    r"lensa|^log-group:/aws/sagemaker/TrainingJobs|^scalable-target/|^alarm:|aws-service-role"
    r"|^secret:\$\{StackName\}/"
)

# What an administrator does once, with `lensa setup` or --create-bucket: no caller needs it.
FURNISHING = {
    "s3:CreateBucket",
    "s3:GetBucketPolicy",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
}

# What Application Auto Scaling asks for, on everything, of whoever lets an endpoint scale.
SCALING_ASKS_FOR = {
    "sagemaker:DescribeEndpoint",
    "sagemaker:DescribeEndpointConfig",
    "sagemaker:UpdateEndpointWeightsAndCapacities",
}

# Services whose calls may stand in a table, with no client("...") beside it.
BY_TABLE = {"application-autoscaling", "cloudwatch", "sagemaker-runtime", "scheduler"}

# Needed for what AWS itself does with the caller's rights when we ask for something else.
BEHIND_A_CALL = {
    "iam:CreateServiceLinkedRole",  # of the account's first scalable target
    "iam:PassRole",
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "sagemaker:UpdateEndpointWeightsAndCapacities",
}

# Asked so as to say more than "access denied"; done without if it is refused.
FOR_BETTER_WORDS = {"s3:ListAllMyBuckets"}


@pytest.mark.parametrize("name", IAM)
def test_no_right_is_given_by_a_star(name: str) -> None:
    for statement in statements(name):
        assert statement["Effect"] == "Allow"
        for action in actions(statement):
            assert "*" not in action, f"{name} allows {action}"
        if "*" in resources(statement):
            allowed = {each for each in actions(statement) if not each.startswith("ec2:")}
            of_a_caller = SCALING_ASKS_FOR if name == "CallerPolicy" else set()
            assert allowed <= WITHOUT_A_RESOURCE | of_a_caller, f"{name}: on everything"


@pytest.mark.parametrize("name", IAM)
def test_every_resource_is_of_this_account_and_ours(name: str) -> None:
    keepers = set(images.ACCOUNTS.values())
    for statement in statements(name):
        for resource in resources(statement):
            if not resource.startswith("arn:"):
                continue
            assert resource.startswith("arn:${Partition}:")
            _, _, service, _region, account, what = resource.split(":", 5)
            if service == "s3":
                assert what.startswith("${BucketName}")
            elif account in keepers:
                assert (service, what) == ("ecr", "repository/huggingface-pytorch-*")
            else:
                assert account == "${AccountId}"
                assert OURS.search(what), what


def test_a_role_is_only_passed_to_the_service_that_it_is_for() -> None:
    passed = {
        statement["Resource"]["Fn::GetAtt"]: statement["Condition"]
        for name in IAM
        for statement in statements(name)
        if "iam:PassRole" in actions(statement)
    }
    for role, service in (("ExecutionRole", "sagemaker"), ("SchedulerRole", "scheduler")):
        whom = f"{service}.amazonaws.com"
        assert passed.pop(f"{role}.Arn") == {"StringEquals": {"iam:PassedToService": whom}}
        (trust,) = RESOURCES[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": whom}
        account = {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        assert trust["Condition"] == {"StringEquals": account}
    assert passed == {}


def test_listing_the_bucket_ends_at_the_prefix() -> None:
    for statement in statements("ExecutionRole", "CallerPolicy"):
        if "s3:ListBucket" in actions(statement):
            below = statement["Condition"]["StringLikeIfExists"]["s3:prefix"]
            assert below == [{"Ref": "Prefix"}, {"Fn::Sub": "${Prefix}/*"}]
        if {"s3:GetObject", "s3:DeleteObject"} & actions(statement):
            assert all("${BucketName}/${Prefix}/" in each for each in resources(statement))


def test_the_scheduler_may_delete_our_endpoints_with_their_scaling_and_nothing_else() -> None:
    """DeleteEndpoint of an asynchronous one deregisters its scalable target by the same rights."""
    (delete, deregister) = statements("SchedulerRole")
    assert actions(delete) == {"sagemaker:DeleteEndpoint"}
    assert all(each.endswith(":endpoint/lensa-*") for each in resources(delete))
    assert actions(deregister) == {"application-autoscaling:DeregisterScalableTarget"}
    of_sagemaker = {"application-autoscaling:service-namespace": "sagemaker"}
    assert deregister["Condition"] == {"StringEquals": of_sagemaker}


def test_images_are_pulled_from_every_account_that_keeps_aws_own() -> None:
    pulled = [
        resource
        for statement in statements("ExecutionRole")
        if "ecr:BatchGetImage" in actions(statement)
        for resource in resources(statement)
    ]
    assert {each.split(":")[4] for each in pulled} == {
        *images.ACCOUNTS.values(),
        "${AccountId}",
    }


def test_the_execution_role_takes_nothing_of_the_account() -> None:
    """A container that went astray could not start, change or delete what costs or who may."""
    given = {action for each in statements(*OF_THE_EXECUTION_ROLE) for action in actions(each)}
    assert {action.split(":")[0] for action in given} == {
        "cloudwatch",
        "ec2",
        "ecr",
        "kms",
        "logs",
        "s3",
        "secretsmanager",
    }
    deleting = [
        resources(each)
        for each in statements("ExecutionRole")
        if "s3:DeleteObject" in actions(each)
    ]
    assert all(each.endswith("/checkpoints/*") for found in deleting for each in found)


def test_the_policies_are_as_small_as_iam_takes_them() -> None:
    """Characters without white space: of a managed policy, and of all that stands in a role."""
    assert sum(map(size, policies("CallerPolicy"))) <= 6_144
    inline = [document for name in OF_THE_EXECUTION_ROLE for document in policies(name)]
    assert sum(map(size, inline)) <= 10_240


def size(document: dict[str, Any]) -> int:
    return len(re.sub(r"\s", "", spelled(document)))


def longest(parameter: str) -> int:
    """The characters that the template lets a parameter have."""
    told = TEMPLATE["Parameters"][parameter]
    if "MaxLength" in told:
        return int(told["MaxLength"])
    first, least_and_most, last = re.fullmatch(  # ^[..][..]{m,n}[..]$
        r"\^(\[.+?\])\[.+?\]\{(\d+,\d+)\}(\[.+?\])\$", told["AllowedPattern"]
    ).groups()
    return len([first, last]) + int(least_and_most.split(",")[1])


def spelled(part: Any) -> str:
    """A policy as IAM gets it, in a GovCloud region, under the longest names there can be."""
    names = {
        "AWS::Partition": "aws-us-gov",
        "AWS::Region": "us-gov-west-1",
        "AWS::AccountId": "123456789012",
        "AWS::StackName": "s" * 64,
        "BucketName": "b" * longest("BucketName"),
        "Prefix": "p" * longest("Prefix"),
    }
    # A role's is the longest; its name has 64 characters, those of CloudFormation too.
    arn = "arn:aws-us-gov:iam::123456789012:role" + "x" * (longest("RolePath") + 64)

    def value_of(one: Any) -> Any:
        if isinstance(one, list):
            return [value_of(each) for each in one]
        if not isinstance(one, dict):
            return one
        if "Ref" in one:
            return names.get(one["Ref"], arn)
        if "Fn::GetAtt" in one:
            return arn
        if "Fn::If" in one:
            return value_of(one["Fn::If"][1])
        if "Fn::Sub" in one:
            return re.sub(r"\$\{([\w:]+)\}", lambda found: names[found[1]], one["Fn::Sub"])
        return {key: value_of(each) for key, each in one.items()}

    return json.dumps(value_of(part))


# --- what the client calls, the caller may ---


def calls(*folders: Path) -> dict[str, set[str]]:
    """IAM action -> the files of ours that need it, read from the names of botocore's operations.

    A method of a client that several services have counts for those that the file itself names.
    """
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    sources = [path for path in sources if path.parent.name != "stack"]  # an administrator's
    trees = {path: ast.parse(path.read_text("utf-8")) for path in sources}
    named = {path: set(services(tree)) for path, tree in trees.items()}
    session = botocore.session.get_session()
    operations: dict[str, set[tuple[str, str]]] = {}
    for service in set().union(*named.values()):
        model = session.get_service_model(service)
        for operation in model.operation_names:
            for name in (operation, xform_name(operation)):
                operations.setdefault(name, set()).add((service, operation))
    found: dict[str, set[str]] = {}
    for path, tree in trees.items():
        for name in methods(tree):
            one_word = "_" not in name and sum(letter.isupper() for letter in name) < 2
            meant = set() if one_word else operations.get(name, set())  # not str.search
            if len(meant) > 1:
                meant = {(service, each) for service, each in meant if service in named[path]}
            for service, operation in meant:
                for action in iam(service, operation):
                    found.setdefault(action, set()).add(path.name)
    return found


def services(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            first = node.args[0] if node.args else None
            if node.func.attr in {"client", "hasty_client"} and isinstance(first, ast.Constant):
                yield str(first.value)
        elif isinstance(node, ast.Constant) and node.value in BY_TABLE:
            yield str(node.value)


def methods(tree: ast.AST) -> Iterator[str]:
    """Names that are called on something, or handed to what pages or waits."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def iam(service: str, operation: str) -> list[str]:
    if service == "sts":
        return []  # GetCallerIdentity takes no right
    if service == "s3":
        if operation == "GetPublicAccessBlock":
            return ["s3:GetBucketPublicAccessBlock"]
        return re.findall(r"s3:\w+", S3_ACTIONS.get(operation, f"s3:{operation}"))
    prefix = {"service-quotas": "servicequotas", "sagemaker-runtime": "sagemaker"}
    return [f"{prefix.get(service, service)}:{operation}"]


def test_a_caller_may_do_what_the_client_does_and_nothing_more() -> None:
    needed = calls(SAGEMAKER)
    assert {"sagemaker:CreateTrainingJob", "s3:PutObject", "logs:GetLogEvents"} <= set(needed)
    given = {action for statement in statements("CallerPolicy") for action in actions(statement)}
    missing = {
        action: sorted(files)
        for action, files in needed.items()
        if action not in given | FURNISHING | FOR_BETTER_WORDS
    }
    assert missing == {}, "add it to CallerPolicy in infra/cloudformation/lensa.yaml"
    unused = given - set(needed)
    assert unused == BEHIND_A_CALL, "take it out of CallerPolicy, or call it"


def test_what_runs_in_a_container_its_role_may_do() -> None:
    root = SAGEMAKER.parents[2]
    needed = calls(
        *(root / name for name in ("launcher", "training_entrypoint", "inference_entrypoint"))
    )
    assert {"s3:GetObject", "secretsmanager:GetSecretValue"} <= set(needed)
    given = {action for each in statements(*OF_THE_EXECUTION_ROLE) for action in actions(each)}
    assert {action: files for action, files in needed.items() if action not in given} == {}
