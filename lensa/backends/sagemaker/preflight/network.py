"""A VPC of your own: whether its subnets lead to S3, without which nothing is read or written, and
to the hub and the secrets where those are needed."""

from __future__ import annotations

from typing import Any

from lensa.backends.findings import Check, Finding, failed, ok
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.preflight.base_model import mirror_of, word_for
from lensa.backends.sagemaker.preflight.needs import Need
from lensa.backends.sagemaker.preflight.question import page, question
from lensa.backends.sagemaker.transfer import Store
from lensa.errors import ConfigError

NAME = "network"

# What a default route leads out through. An internet gateway is none of it: SageMaker's machines
# have no public address.
_WAYS_OUT = (
    "NatGatewayId",
    "TransitGatewayId",
    "NetworkInterfaceId",
    "VpcPeeringConnectionId",
    "LocalGatewayId",
    "CoreNetworkArn",
)


def check_network(account: Account, bucket: Bucket, need: Need) -> Check:
    return question(
        NAME,
        lambda: _find(account, bucket, need),
        permission="the permissions ec2:DescribeSubnets, DescribeRouteTables and "
        "DescribeVpcEndpoints",
        doing="looking at the subnets",
        mend=f"Your subnets: {page(account, 'vpcconsole/home?region={region}#subnets:')}",
    )


def _find(account: Account, bucket: Bucket, need: Need) -> Finding:
    subnets = need.subnets
    client: Any = account.hasty_client("ec2", account.region)
    found = client.describe_subnets(SubnetIds=list(subnets))["Subnets"]
    vpcs = sorted({subnet["VpcId"] for subnet in found})
    if len(vpcs) > 1:
        return failed(
            NAME,
            f"the subnets are in {len(vpcs)} VPCs ({', '.join(vpcs)}), and have to be in one.",
            "Name subnets of one VPC (subnets in lensa.toml).",
            ConfigError,
        )
    in_vpc = [{"Name": "vpc-id", "Values": vpcs}]
    tables = client.describe_route_tables(Filters=in_vpc)["RouteTables"]
    service = f"com.amazonaws.{account.region}.s3"
    secrets = f"com.amazonaws.{account.region}.secretsmanager"
    found = client.describe_vpc_endpoints(
        Filters=[*in_vpc, {"Name": "service-name", "Values": [service, secrets]}]
    )["VpcEndpoints"]
    endpoints = [endpoint for endpoint in found if endpoint.get("ServiceName") == service]
    by_interface = any(endpoint.get("VpcEndpointType") == "Interface" for endpoint in endpoints)
    through = {table for endpoint in endpoints for table in endpoint.get("RouteTableIds", ())}
    shut, inside = [], []
    for subnet in subnets:
        table = _table_of(subnet, tables)
        if table is not None and _leads_out(table):
            continue
        inside.append(subnet)
        if not (by_interface or (table is not None and table["RouteTableId"] in through)):
            shut.append((subnet, table["RouteTableId"] if table else None))
    if inside and not shut:
        lacks = _no_hub(bucket, need, inside)
        if need.secrets and not any(each.get("ServiceName") == secrets for each in found):
            lacks.append(_no_secrets(account, vpcs[0], secrets, inside))
        if lacks:
            words, mends = zip(*lacks, strict=True)
            return failed(NAME, " ".join(words), "\n".join(mends), ConfigError)
    if not shut:
        return ok(NAME, f"every subnet leads to S3 ({', '.join(subnets)})")
    ids = " ".join(sorted({table for _, table in shut if table}))
    return failed(
        NAME,
        f"no way to S3 leads from {', '.join(subnet for subnet, _ in shut)}: neither a NAT gateway "
        "nor an endpoint of S3 (an internet gateway is of no use: SageMaker's machines have no "
        "public address).",
        f"aws ec2 create-vpc-endpoint --vpc-id {vpcs[0]} --service-name {service} "
        f"--route-table-ids {ids} --region {account.region}",
    )


def _no_hub(bucket: Bucket, need: Need, inside: list[str]) -> list[tuple[str, str]]:
    """Say that subnets which lead to S3 alone do not lead to models on the hub."""
    here, base, lacks = f"{', '.join(inside)} leads to S3 and no further", need.base, []
    if base is not None and base.source == "hub" and mirror_of(Store(bucket), base) is None:
        words = f"{here}, and the base model {base.name} is on the hub: the bucket has no copy."
        lacks.append((words, f"lensa mirror {word_for(base)}"))
    if need.vae is not None and need.vae.source == "hub":
        mend = "Use a diffusers folder of the base that has this VAE as its vae/: it travels whole."
        lacks.append((f"{here}, and the VAE {need.vae} is on the hub.", mend))
    return lacks


def _no_secrets(account: Account, vpc: str, service: str, inside: list[str]) -> tuple[str, str]:
    """Say that subnets which lead to S3 alone do not lead to Secrets Manager."""
    words = f"{', '.join(inside)} leads to no Secrets Manager, where the container reads secrets."
    mend = (
        f"aws ec2 create-vpc-endpoint --vpc-id {vpc} --vpc-endpoint-type Interface --service-name "
        f"{service} --subnet-ids {' '.join(inside)} --region {account.region}\nor leave the "
        "secrets out."
    )
    return words, mend


def _table_of(subnet: str, tables: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return a subnet's route table: its own, or the VPC's main one."""
    main = None
    for table in tables:
        for association in table.get("Associations", ()):
            if association.get("SubnetId") == subnet:
                return table
            if association.get("Main"):
                main = table
    return main


def _leads_out(table: dict[str, Any]) -> bool:
    return any(
        route.get("DestinationCidrBlock") == "0.0.0.0/0"
        and route.get("State") != "blackhole"
        and any(route.get(way) for way in _WAYS_OUT)
        for route in table.get("Routes", ())
    )
