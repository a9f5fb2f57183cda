"""A VPC of your own: whether its subnets lead to S3, without which nothing is read or written."""

from __future__ import annotations

from typing import Any

from lensa.backends.findings import Check, Finding, failed, ok
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.preflight.needs import Need
from lensa.backends.sagemaker.preflight.question import page, question
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


def check_network(account: Account, need: Need) -> Check:
    return question(
        NAME,
        lambda: _find(account, need.subnets),
        permission="the permissions ec2:DescribeSubnets, DescribeRouteTables and "
        "DescribeVpcEndpoints",
        doing="looking at the subnets",
        mend=f"Your subnets: {page(account, 'vpcconsole/home?region={region}#subnets:')}",
    )


def _find(account: Account, subnets: tuple[str, ...]) -> Finding:
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
    endpoints = client.describe_vpc_endpoints(
        Filters=[*in_vpc, {"Name": "service-name", "Values": [service]}]
    )["VpcEndpoints"]
    if any(endpoint.get("VpcEndpointType") == "Interface" for endpoint in endpoints):
        return ok(NAME, f"{vpcs[0]} has an interface endpoint of S3")
    through = {table for endpoint in endpoints for table in endpoint.get("RouteTableIds", ())}
    shut = []
    for subnet in subnets:
        table = _table_of(subnet, tables)
        if table is None or not (table["RouteTableId"] in through or _leads_out(table)):
            shut.append((subnet, table["RouteTableId"] if table else None))
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
