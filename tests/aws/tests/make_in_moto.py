"""Makes databases, caches and load balancers in moto, and prints as JSON which series somebody who watches them has to have.

What has to be there is reckoned from what AWS' own client reads back, and from nothing else.
"""

import json
import sys

import boto3

URL, REGION = sys.argv[1:3]
GIB = 2**30


def client(service):
    return boto3.client(
        service, endpoint_url=URL, region_name=REGION, aws_access_key_id="AKIAMOTO", aws_secret_access_key="any"
    )


def tags(team):
    return [{"Key": "team", "Value": team}]


def make_databases(rds):
    common = dict(Engine="postgres", MasterUsername="owner", MasterUserPassword="not-a-secret")
    rds.create_db_instance(
        DBInstanceIdentifier="orders", DBInstanceClass="db.m6g.large", AllocatedStorage=100, StorageType="gp3",
        MultiAZ=True, EngineVersion="16.3", Tags=tags("shop"), **common
    )
    rds.create_db_instance(
        DBInstanceIdentifier="clicks", DBInstanceClass="db.t4g.medium", AllocatedStorage=20, StorageType="gp2",
        EngineVersion="15.7", **common
    )
    rds.create_db_instance(
        DBInstanceIdentifier="ledger", DBInstanceClass="db.r6g.xlarge", AllocatedStorage=400, StorageType="io1",
        Iops=4000, Tags=tags("money"), **common
    )
    rds.create_db_instance_read_replica(DBInstanceIdentifier="orders-copy", SourceDBInstanceIdentifier="orders")
    rds.stop_db_instance(DBInstanceIdentifier="clicks")


def make_caches(elasticache):
    for name, kind, team in [("sessions", "cache.t4g.small", "shop"), ("baskets", "cache.m6g.large", "money")]:
        elasticache.create_cache_cluster(
            CacheClusterId=name, CacheNodeType=kind, Engine="redis", NumCacheNodes=1, Tags=tags(team)
        )


def make_balancers(elb, ec2):
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    network = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    for name, kind, port in [("front", "application", "HTTP"), ("events", "network", "TCP")]:
        balancer = elb.create_load_balancer(Name=name, Subnets=subnets, Type=kind, Tags=tags(f"team-{name}"))
        group = elb.create_target_group(Name=f"{name}-pods", Protocol=port, Port=80, VpcId=network, TargetType="ip")
        elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
            Protocol=port,
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroups"][0]["TargetGroupArn"]}],
        )
    # Behind nothing: nobody asks for it.
    elb.create_target_group(Name="spare", Protocol="HTTP", Port=80, VpcId=network, TargetType="ip")


def included(known):
    """What the manual says a volume of this kind and size has without being asked for more."""
    gib = known["AllocatedStorage"]
    return {"gp3": 3000, "gp2": max(100, 3 * gib)}[known["StorageType"]]


def databases(rds):
    for page in rds.get_paginator("describe_db_instances").paginate():
        for known in page["DBInstances"]:
            mine = {"dimension_DBInstanceIdentifier": known["DBInstanceIdentifier"], "name": known["DBInstanceArn"]}
            source = known.get("ReadReplicaSourceDBInstanceIdentifier", "")
            is_live = known["DBInstanceStatus"] == "available"
            team = {tag["Key"]: tag["Value"] for tag in known.get("TagList", [])}.get("team", "")
            yield "aws_rds_info", 0, {
                **mine,
                "engine": known["Engine"],
                "engine_version": known["EngineVersion"],
                "class": known["DBInstanceClass"],
                "storage_type": known["StorageType"],
                "role": "replica" if source else "primary",
                "replica_of": source,
                "multi_az": str(known["MultiAZ"]).lower(),
                "status": known["DBInstanceStatus"],
                "tag_team": team,
            }
            yield "aws_rds_allocated_storage_bytes", known["AllocatedStorage"] * GIB, mine
            yield "aws_rds_available", int(is_live), mine
            yield "aws_rds_replica", int(bool(source)), mine
            yield "aws_rds_multi_az", int(known["MultiAZ"]), mine
            yield "aws_rds_burstable", int(known["DBInstanceClass"].startswith("db.t")), mine
            yield "aws_rds_provisioned_iops", known.get("Iops") or included(known), mine


def caches(elasticache, team_of):
    for page in elasticache.get_paginator("describe_cache_clusters").paginate():
        for known in page["CacheClusters"]:
            mine = {"dimension_CacheClusterId": known["CacheClusterId"], "name": known["ARN"]}
            yield "aws_elasticache_info", 0, {
                **mine,
                "class": known["CacheNodeType"],
                "engine": known["Engine"],
                "status": known["CacheClusterStatus"],
                "tag_team": team_of.get(known["ARN"], ""),
            }
            yield "aws_elasticache_available", int(known["CacheClusterStatus"] == "available"), mine
            yield "aws_elasticache_burstable", int(known["CacheNodeType"].startswith("cache.t")), mine


def balancers(elb, team_of):
    families = {"application": "aws_applicationelb", "network": "aws_networkelb"}
    kinds = {}
    for page in elb.get_paginator("describe_load_balancers").paginate():
        for known in page["LoadBalancers"]:
            arn = known["LoadBalancerArn"]
            dimension = arn.split(":loadbalancer/")[1]
            kinds[arn] = families[known["Type"]], dimension
            mine = {"dimension_LoadBalancer": dimension, "name": arn}
            yield f"{families[known['Type']]}_info", 0, {
                **mine,
                "load_balancer": known["LoadBalancerName"],
                "scheme": known.get("Scheme", ""),
                "state": known["State"]["Code"],
                "tag_team": team_of.get(arn, ""),
            }
            yield f"{families[known['Type']]}_active", int(known["State"]["Code"] == "active"), mine
    for page in elb.get_paginator("describe_target_groups").paginate():
        for known in page["TargetGroups"]:
            for arn in known["LoadBalancerArns"]:
                family, balancer = kinds[arn]
                yield f"{family}_target_group_info", 0, {
                    "name": known["TargetGroupArn"],
                    "dimension_TargetGroup": known["TargetGroupArn"].split(":")[-1],
                    "dimension_LoadBalancer": balancer,
                    "target_group": known["TargetGroupName"],
                    "target_type": known["TargetType"],
                    "protocol": known["Protocol"],
                }


def teams(tagging):
    found = {}
    for page in tagging.get_paginator("get_resources").paginate():
        for known in page["ResourceTagMappingList"]:
            found.update({known["ResourceARN"]: tag["Value"] for tag in known["Tags"] if tag["Key"] == "team"})
    return found


def main():
    rds, elasticache, elb = client("rds"), client("elasticache"), client("elbv2")
    make_databases(rds)
    make_caches(elasticache)
    make_balancers(elb, client("ec2"))
    team_of = teams(client("resourcegroupstaggingapi"))
    wanted = [*databases(rds), *caches(elasticache, team_of), *balancers(elb, team_of)]
    print(json.dumps([{"name": name, "value": value, "labels": labels} for name, value, labels in wanted]))


main()
