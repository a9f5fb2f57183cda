"""infra/cloudformation/lensa.yaml, read as it stands: valid, private, and no right too many."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore import xform_name
from cfnlint.api import ManualArgs, lint

from lensa.backends.sagemaker import bucket_rules, images
from lensa.backends.sagemaker.refusal_table import S3_ACTIONS
from lensa.backends.sagemaker.stack import outputs, template
from lensa.backends.sagemaker.stack.options import PARAMETERS, SetupOptions
from lensa.settings import Settings

SAGEMAKER = Path(images.__file__).parent

# Of these AWS takes no smaller resource; most only look.
WITHOUT_A_RESOURCE = {
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

# Services whose calls may stand in a table, with no client("...") beside it.
BY_TABLE = {"application-autoscaling", "cloudwatch", "sagemaker-runtime", "scheduler"}

# Needed for what AWS itself does with the caller's rights when we ask for something else.
BEHIND_A_CALL = {
    "iam:CreateServiceLinkedRole",  # of the account's first scalable target
    "iam:PassRole",
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:GenerateDataKey",
}

# Asked so as to say more than "access denied"; done without if it is refused.
FOR_BETTER_WORDS = {"s3:ListAllMyBuckets"}


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


def test_cfn_lint_has_nothing_to_say() -> None:
    found = lint(template.template_body(), config=ManualArgs(regions=["us-east-1", "eu-west-1"]))
    assert [f"{match.rule.id} {match.message}" for match in found] == []


def test_it_fits_into_one_request() -> None:
    assert len(template.template_body().encode()) <= 51_200


def test_the_options_know_every_parameter() -> None:
    assert set(PARAMETERS) == set(TEMPLATE["Parameters"])
    everything = SetupOptions(
        bucket="my-bucket",
        prefix="ours",
        photo_days=7,
        key=True,
        hub_secret=True,
        wandb_secret=False,
        vpc=True,
        role_path="/teams/",
        permissions_boundary="arn:aws:iam::123456789012:policy/bound",
    ).parameters()
    assert set(everything) == set(PARAMETERS) - {"CreateBucket"}
    for name, value in everything.items():
        parameter = TEMPLATE["Parameters"][name]
        assert re.fullmatch(parameter.get("AllowedPattern", ".*"), value), name
        assert value in parameter.get("AllowedValues", [value]), name


def test_every_output_is_a_setting_or_told() -> None:
    made = outputs.settings({name: f"the {name}" for name in TEMPLATE["Outputs"]}, "eu-west-1")
    assert set(made) <= set(Settings.model_fields)
    told = {
        text
        for value in made.values()
        for text in (value.values() if isinstance(value, dict) else [value])
    }
    assert {f"the {name}" for name in TEMPLATE["Outputs"]} - told == {"the CallerPolicyArn"}


# --- the bucket ---


def test_the_bucket_is_what_create_bucket_makes() -> None:
    bucket = RESOURCES["Bucket"]["Properties"]
    assert bucket["PublicAccessBlockConfiguration"] == bucket_rules.PRIVATE
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    (policy,) = RESOURCES["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    (tls,) = bucket_rules.policy(None, "aws", "b")["Statement"]
    assert {**policy, "Resource": tls["Resource"]} == tls
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    _, keyed, plain = encryption["Fn::If"]
    assert keyed["BucketKeyEnabled"] is True
    assert {"Rules": [plain]} == {
        "Rules": [
            {"ServerSideEncryptionByDefault": rule["ApplyServerSideEncryptionByDefault"]}
            for rule in bucket_rules.encryption(None)["Rules"]
        ]
    }


def test_things_expire_as_create_bucket_lets_them() -> None:
    def there(value: Any) -> Any:
        return value.get("Fn::Sub", 30).replace("${Prefix}", "ours") if "Fn::Sub" in value else 30

    rules = {}
    for rule in RESOURCES["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]:
        days = rule.get("ExpirationInDays")
        rules[there(rule["Id"])] = {
            "ID": there(rule["Id"]),
            "Status": rule["Status"],
            "Filter": {"Prefix": there(rule["Prefix"])},
            **(
                {"Expiration": {"Days": there(days) if isinstance(days, dict) else days}}
                if days
                else {}
            ),
            **{
                key: rule[key]
                for key in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")
                if key in rule
            },
        }
    assert rules["lensa: asynchronous requests in ours/async/"]["Expiration"] == {"Days": 7}
    for rule in bucket_rules.lifecycle([], lambda key: f"ours/{key}", 30):
        assert rules[rule["ID"]] == rule


def test_what_stays_is_what_cannot_be_made_again() -> None:
    retained = {
        name
        for name, each in RESOURCES.items()
        if each.get("DeletionPolicy", "").startswith("Retain")
    }
    assert retained == template.RETAINED
    for name in retained:
        assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain"
    assert RESOURCES["Key"]["Properties"]["EnableKeyRotation"] is True


# --- the rights ---


@pytest.mark.parametrize("name", IAM)
def test_no_right_is_given_by_a_star(name: str) -> None:
    for statement in statements(name):
        assert statement["Effect"] == "Allow"
        for action in actions(statement):
            assert "*" not in action, f"{name} allows {action}"
        if "*" in resources(statement):
            allowed = {each for each in actions(statement) if not each.startswith("ec2:")}
            assert allowed <= WITHOUT_A_RESOURCE, f"{name}: on everything"


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
                assert re.search(r"lensa|/aws/sagemaker/|scalable-target|aws-service-role", what)


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


def test_the_scheduler_may_delete_our_endpoints_and_nothing_else() -> None:
    (only,) = statements("SchedulerRole")
    assert actions(only) == {"sagemaker:DeleteEndpoint"}
    assert all(each.endswith(":endpoint/lensa-*") for each in resources(only))


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


def test_the_callers_policy_is_as_small_as_iam_takes_it() -> None:
    """6,144 characters without white space; with the longest names that our patterns allow."""
    whole = yaml.safe_dump(RESOURCES["CallerPolicy"]["Properties"]["PolicyDocument"])
    resolved = spelled(RESOURCES["CallerPolicy"]["Properties"]["PolicyDocument"])
    assert len(re.sub(r"\s", "", resolved)) <= 6_144, len(whole)


def spelled(part: Any) -> str:
    """A policy as IAM gets it, in a GovCloud region, under names of a fair length."""
    import json

    names = {
        "AWS::Partition": "aws-us-gov",
        "AWS::Region": "us-gov-west-1",
        "AWS::AccountId": "123456789012",
        "BucketName": "lensa-123456789012-us-gov-west-1",
        "Prefix": "a-team/lensa",
    }

    def value_of(one: Any) -> Any:
        if isinstance(one, list):
            return [value_of(each) for each in one]
        if not isinstance(one, dict):
            return one
        if "Ref" in one:
            return names.get(one["Ref"], "x" * 90)
        if "Fn::GetAtt" in one:
            return "x" * 90
        if "Fn::If" in one:
            return value_of(one["Fn::If"][1])
        if "Fn::Sub" in one:
            return re.sub(r"\$\{([\w:]+)\}", lambda found: names[found[1]], one["Fn::Sub"])
        return {key: value_of(each) for key, each in one.items()}

    return json.dumps(value_of(part))


# --- what the client calls, the caller may ---


def calls() -> dict[str, set[str]]:
    """IAM action -> the files of ours that need it, read from the names of botocore's operations.

    A method of a client that several services have counts for those that the file itself names.
    """
    sources = [path for path in SAGEMAKER.rglob("*.py") if "stack" not in path.parent.name]
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
    needed = calls()
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
