"""Before anything is paid: whether a container reaches what it needs beyond its bucket."""

from __future__ import annotations

from typing import Any

import pytest
from cloud import settle

from lensa.backends.findings import Finding
from lensa.backends.sagemaker import keys
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.backend import SagemakerBackend
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.hosting.options import DeployOptions
from lensa.backends.sagemaker.options import SagemakerOptions, over
from lensa.backends.sagemaker.preflight.needs import of_hosting, of_training
from lensa.backends.sagemaker.preflight.network import check_network
from lensa.backends.sagemaker.preflight.secrets import check_secrets
from lensa.contract import BaseModelRef, VaeRef
from lensa.contract.weights import REVISION_FILE
from lensa.errors import ConfigError
from lensa.settings import load_settings
from lensa.testing import SagemakerTwin

HUB = BaseModelRef(name="somebody/model", source="hub", location="somebody/model")


@pytest.fixture(autouse=True)
def cloud(sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch) -> SagemakerTwin:
    settle(sagemaker_twin, monkeypatch)
    return sagemaker_twin


def make_secret(cloud: SagemakerTwin, value: str | None = None) -> str:
    given = {} if value is None else {"SecretString": value}
    made = cloud.client("secretsmanager").create_secret(Name="lensa/hub-token", **given)
    return str(made["ARN"])


# --- secrets ---


def of_secret(arn: str) -> Finding:
    need = of_hosting(load_settings(), DeployOptions(hub_secret=arn))
    return check_secrets(Account(), need).run()


def test_a_secret_that_is_empty_is_found_before_the_container_is(cloud: SagemakerTwin) -> None:
    secret = make_secret(cloud)
    finding = of_secret(secret)
    assert finding.status == "failed" and f"{secret} is empty" in finding.words
    assert f"put-secret-value --secret-id {secret}" in finding.mend
    secrets = cloud.client("secretsmanager")
    secrets.put_secret_value(SecretId=secret, SecretString="hf_mine")
    assert of_secret(secret).status == "ok"
    assert not cloud.called("GetSecretValue")
    secrets.delete_secret(SecretId=secret, RecoveryWindowInDays=7)
    assert "restore-secret" in of_secret(secret).mend


def test_every_secret_of_a_training_is_looked_at(cloud: SagemakerTwin) -> None:
    nowhere = f"arn:aws:secretsmanager:us-east-1:{cloud.account}:secret:nowhere-AbCdEf"
    options = SagemakerOptions(hub_secret=make_secret(cloud), wandb_secret=nowhere)
    finding = check_secrets(Account(), of_training(load_settings(), options)).run()
    assert "is empty" in finding.words and f"there is no secret {nowhere}" in finding.words


def test_who_may_not_look_at_secrets_is_not_stopped(cloud: SagemakerTwin) -> None:
    secret = make_secret(cloud)
    cloud.faults.fail("DescribeSecret", "AccessDeniedException", "no", times=None)
    finding = of_secret(secret)
    assert finding.status == "unknown" and "secretsmanager:DescribeSecret" in finding.words


def test_a_secret_of_the_settings_is_left_out_in_isolation_and_one_that_is_given_is_refused() -> (
    None
):
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:lensa/hub-token-AbCdEf"
    defaults = {"hub_secret": arn}
    assert over(DeployOptions, defaults, {}).hub_secret == arn
    assert over(DeployOptions, defaults, {"network_isolation": True}).hub_secret is None
    assert over(DeployOptions, {**defaults, "network_isolation": "true"}, {}).hub_secret is None
    with pytest.raises(ConfigError, match="not even its secrets"):
        over(DeployOptions, {"network_isolation": True}, defaults)
    settings = load_settings(sagemaker={**defaults, "wandb_secret": arn})
    isolated = SagemakerBackend(settings, {"network_isolation": True}).options
    assert (isolated.hub_secret, isolated.wandb_secret) == (None, None)


# --- a network of one's own ---


class Network:
    """A VPC with one subnet, whose main route table leads to an internet gateway."""

    def __init__(self, cloud: SagemakerTwin) -> None:
        self.ec2 = ec2 = cloud.client("ec2")
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        made = ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.0.1.0/24")["Subnet"]
        self.subnet = made["SubnetId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)
        own = [{"Name": "vpc-id", "Values": [self.vpc]}]
        (table,) = ec2.describe_route_tables(Filters=own)["RouteTables"]
        self.table = table["RouteTableId"]
        way = {"RouteTableId": self.table, "DestinationCidrBlock": "0.0.0.0/0"}
        ec2.create_route(**way, GatewayId=gateway)

    def open(self, service: str, kind: str) -> None:
        """Make an endpoint of a service."""
        where = {"SubnetIds": [self.subnet]} if kind == "Interface" else {}
        self.ec2.create_vpc_endpoint(
            VpcId=self.vpc,
            ServiceName=f"com.amazonaws.us-east-1.{service}",
            VpcEndpointType=kind,
            **({"RouteTableIds": [self.table]} if kind == "Gateway" else where),
        )

    def finding(
        self,
        *subnets: str,
        base: BaseModelRef | None = None,
        vae: VaeRef | None = None,
        **options: Any,
    ) -> Finding:
        asked = SagemakerOptions(
            subnets=subnets or (self.subnet,), security_groups=("sg-1",), **options
        )
        settings = load_settings()
        bucket = Bucket(Account(), str(settings.bucket))
        return check_network(Account(), bucket, of_training(settings, asked, base, vae)).run()


def test_subnets_have_to_lead_to_s3(cloud: SagemakerTwin) -> None:
    network = Network(cloud)
    shut = network.finding()
    assert shut.status == "failed" and "internet gateway is of no use" in shut.words
    assert f"create-vpc-endpoint --vpc-id {network.vpc}" in shut.mend
    assert network.table in shut.mend
    network.open("s3", "Gateway")
    assert network.finding().status == "ok"
    gone = network.finding("subnet-00000000")
    assert gone.status == "failed" and "subnet-00000000" in gone.words
    cloud.faults.fail("ec2", "UnauthorizedOperation", "no", times=None)
    assert network.finding().status == "unknown"


@pytest.mark.parametrize("kind", ["Gateway", "Interface"])
def test_where_s3_alone_is_reached_a_base_on_the_hub_has_to_be_mirrored(
    cloud: SagemakerTwin, kind: str
) -> None:
    network = Network(cloud)
    network.open("s3", kind)
    finding = network.finding(base=HUB)
    assert finding.status == "failed" and "leads to S3 and no further" in finding.words
    assert finding.mend == "lensa mirror somebody/model"
    key = f"lensa/{keys.base(HUB, 'abc')}/{REVISION_FILE}"
    cloud.client("s3").put_object(Bucket=cloud.bucket, Key=key, Body=b"abc")
    assert network.finding(base=HUB).status == "ok"
    vae = VaeRef(source="hub", location="somebody/vae")
    finding = network.finding(base=HUB, vae=vae)
    assert finding.status == "failed" and "the VAE somebody/vae" in finding.words


def test_where_s3_alone_is_reached_secrets_need_an_endpoint_of_their_own(
    cloud: SagemakerTwin,
) -> None:
    network, secret = Network(cloud), make_secret(cloud, "hf_mine")
    network.open("s3", "Gateway")
    finding = network.finding(hub_secret=secret)
    assert finding.status == "failed" and "no Secrets Manager" in finding.words
    assert "--service-name com.amazonaws.us-east-1.secretsmanager" in finding.mend
    network.open("secretsmanager", "Interface")
    assert network.finding(hub_secret=secret).status == "ok"


def test_where_a_nat_gateway_leads_out_nothing_is_lacking(cloud: SagemakerTwin) -> None:
    network = Network(cloud)
    inside = network.ec2.create_subnet(VpcId=network.vpc, CidrBlock="10.0.2.0/24")["Subnet"]
    nat = network.ec2.create_nat_gateway(SubnetId=network.subnet, ConnectivityType="private")
    table = network.ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    network.ec2.associate_route_table(RouteTableId=table, SubnetId=inside["SubnetId"])
    network.ec2.create_route(
        RouteTableId=table,
        DestinationCidrBlock="0.0.0.0/0",
        NatGatewayId=nat["NatGateway"]["NatGatewayId"],
    )
    secret = make_secret(cloud, "hf_mine")
    assert network.finding(inside["SubnetId"], base=HUB, hub_secret=secret).status == "ok"
