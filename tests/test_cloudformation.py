"""infra/cloudformation/lensa.yaml: valid, and it makes what `lensa` itself would make."""

from __future__ import annotations

import re
from typing import Any

from cfnlint.api import ManualArgs, lint
from cloudformation import RESOURCES, TEMPLATE

from lensa.backends.sagemaker import bucket_rules
from lensa.backends.sagemaker.stack import outputs, template
from lensa.backends.sagemaker.stack.options import PARAMETERS, SetupOptions
from lensa.settings import Settings


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
