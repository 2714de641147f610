"""Every operation of the fake, asked for by AWS' own client in Python; what it answers is what the test has put there.

Arguments: the fake's URL, an access key, its secret.
"""

import datetime
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

url, access_key, secret_key = sys.argv[1:4]
UTC = datetime.timezone.utc
ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=10)
CREATED = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
ACCOUNT = "123456789012"
REGION = "eu-west-1"


def client(service, region=REGION, keys=None, config=ONCE):
    keys = keys or {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key}
    return boto3.client(service, endpoint_url=url, region_name=region, config=config, **keys)


def code(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "no error"


def pages(service_client, operation, key, **arguments):
    """How long the pages are, and all that is on them."""
    listed = [page.get(key, []) for page in service_client.get_paginator(operation).paginate(**arguments)]
    return [len(page) for page in listed], [item for page in listed for item in page]


def equal(got, wanted):
    assert got == wanted, f"\n   got {got!r}\nwanted {wanted!r}"


def arn(service, rest):
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


def tags(items):
    return {item["Key"]: item["Value"] for item in items}


def minute(time):
    return int(time.timestamp()) // 60


def query(name, statistic, metric="CPUUtilization", dimensions=None, namespace="AWS/RDS", period=60, **more):
    dimensions = {"DBInstanceIdentifier": "db-1"} if dimensions is None else dimensions
    named = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    metric = {"Namespace": namespace, "MetricName": metric, "Dimensions": named}
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": period, "Stat": statistic}, **more}


def metrics():
    # Who asks too often is told so, and this one asks again.
    cloudwatch = client("cloudwatch", config=Config(retries={"mode": "standard", "total_max_attempts": 20}))
    lengths, listed = pages(cloudwatch, "list_metrics", "Metrics", Namespace="Many")
    equal(lengths, [500, 500, 200])
    equal(sorted(metric["Dimensions"][0]["Value"] for metric in listed), sorted(str(n) for n in range(1200)))
    _, listed = pages(cloudwatch, "list_metrics", "Metrics", MetricName="CPUUtilization")
    equal(sorted(len(metric["Dimensions"]) for metric in listed), [0, 1])
    _, listed = pages(
        cloudwatch, "list_metrics", "Metrics", Dimensions=[{"Name": "DBInstanceIdentifier", "Value": "db-1"}]
    )
    equal([metric["MetricName"] for metric in listed], ["CPUUtilization"])
    _, listed = pages(cloudwatch, "list_metrics", "Metrics", Namespace="Ended")
    equal(len(listed), 1)
    _, listed = pages(cloudwatch, "list_metrics", "Metrics", Namespace="Ended", RecentlyActive="PT3H")
    equal(listed, [])
    equal(code(cloudwatch.list_metrics, RecentlyActive="PT1H"), "ValidationError")

    now = datetime.datetime.now(UTC)
    # Of the minute that runs nothing is seen yet.
    end = now.replace(second=0, microsecond=0) - datetime.timedelta(minutes=2)
    start = end - datetime.timedelta(minutes=30)
    minutes = [start + datetime.timedelta(minutes=n) for n in range(30)]
    base = [minute(time) % 10 for time in minutes]
    statistics = {
        "Average": [value + 1 for value in base],
        "Minimum": base,
        "Maximum": [value + 2 for value in base],
        "Sum": [3 * value + 3 for value in base],
        "SampleCount": [3 for _ in base],
        "p50": [value + 1 for value in base],
        "p99": [value + 2 for value in base],
        "tm50": [value + 1 / 3 for value in base],
    }
    asked = [query(f"q{n}", statistic) for n, statistic in enumerate(statistics)]
    asked.append(query("lb", "Sum", "RequestCount", {"LoadBalancer": "app/a/1"}, "AWS/ApplicationELB"))
    asked.append(query("all", "Average", dimensions={}, Label="all of them"))
    asked.append(query("none", "Average", dimensions={"DBInstanceIdentifier": "db-1", "Other": "x"}))
    times = {"StartTime": start + datetime.timedelta(seconds=59), "EndTime": end}
    answer = cloudwatch.get_metric_data(MetricDataQueries=asked, ScanBy="TimestampAscending", **times)
    results = {result["Id"]: result for result in answer["MetricDataResults"]}
    equal(len(results), len(asked))
    for n, (statistic, values) in enumerate(statistics.items()):
        result = results[f"q{n}"]
        equal(result["Timestamps"], minutes)
        equal([round(value, 9) for value in result["Values"]], [round(value, 9) for value in values])
        equal((result["StatusCode"], result["Label"]), ("Complete", "CPUUtilization"))
    equal(results["lb"]["Values"], [300 + minute(time) % 60 for time in minutes])
    equal((results["all"]["Values"], results["all"]["Label"]), ([99.0] * 30, "all of them"))
    equal((results["none"]["Values"], results["none"]["StatusCode"]), ([], "Complete"))
    # The newest come first unless something else is asked for.
    answer = cloudwatch.get_metric_data(MetricDataQueries=asked[:1], **times)
    equal(answer["MetricDataResults"][0]["Timestamps"], minutes[::-1])
    # Pages end in the middle of a metric, which goes on under the same name.
    paged = list(
        cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=asked, ScanBy="TimestampAscending", PaginationConfig={"PageSize": 7}, **times
        )
    )
    assert len(paged) > 30, len(paged)
    joined = {}
    for page in paged:
        assert sum(len(result["Values"]) for result in page["MetricDataResults"]) <= 7
        for result in page["MetricDataResults"]:
            joined.setdefault(result["Id"], []).extend(result["Values"])
    equal(joined, {name: result["Values"] for name, result in results.items()})
    statuses = {result["StatusCode"] for page in paged for result in page["MetricDataResults"]}
    equal(statuses, {"Complete", "PartialData"})
    answer = cloudwatch.get_metric_data(MetricDataQueries=[query("five", "Sum", period=300)], **times)
    values = [sum(3 * value + 3 for value in base[n : n + 5]) for n in range(0, 30, 5)]
    equal(answer["MetricDataResults"][0]["Values"], values[::-1])

    get = cloudwatch.get_metric_data
    many = [query(f"m{n}", "Average") for n in range(501)]
    equal(code(get, MetricDataQueries=many, **times), "ValidationError")
    equal(code(get, MetricDataQueries=[query("a", "Average"), query("a", "Sum")], **times), "ValidationError")
    equal(code(get, MetricDataQueries=[query("A", "Average")], **times), "ValidationError")
    equal(code(get, MetricDataQueries=[query("a", "Mean")], **times), "ValidationError")
    equal(code(get, MetricDataQueries=[query("a", "Average", period=61)], **times), "ValidationError")
    equal(code(get, MetricDataQueries=[query("a", "Average")], StartTime=end, EndTime=start), "ValidationError")
    equal(code(get, MetricDataQueries=[query("a", "Sum")], MaxDatapoints=100801, **times), "ValidationError")
    equal(code(get, MetricDataQueries=[query("a", "Sum")], NextToken="guessed", **times), "InvalidNextToken")

    one = {
        "Namespace": "AWS/RDS",
        "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": "db-1"}],
        "Period": 60,
    }
    answer = cloudwatch.get_metric_statistics(
        Statistics=["Average", "Sum"], ExtendedStatistics=["p99"], **one, **times
    )
    points = sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])
    equal([point["Timestamp"] for point in points], minutes)
    equal([point["Average"] for point in points], [value + 1 for value in base])
    equal([point["Sum"] for point in points], [3 * value + 3 for value in base])
    equal([point["ExtendedStatistics"]["p99"] for point in points], [value + 2 for value in base])
    equal({point["Unit"] for point in points}, {"Percent"})
    long_ago = {"StartTime": end - datetime.timedelta(days=2), "EndTime": end}
    found = code(cloudwatch.get_metric_statistics, Statistics=["Sum"], **one, **long_ago)
    assert found.startswith("InvalidParameterCombination"), found
    hasty = client("cloudwatch")
    found = [code(hasty.list_metrics, Namespace="AWS/RDS") for _ in range(80)]
    assert "Throttling" in found, found
    equal(set(found), {"Throttling", "no error"})


def rds():
    rds = client("rds")
    lengths, instances = pages(rds, "describe_db_instances", "DBInstances", PaginationConfig={"PageSize": 20})
    equal(lengths, [20, 3])
    named = {instance["DBInstanceIdentifier"]: instance for instance in instances}
    one = named["db-1"]
    equal(one["DBInstanceClass"], "db.t4g.large")
    equal((one["Engine"], one["EngineVersion"]), ("postgres", "16.9"))
    equal((one["AllocatedStorage"], one["Iops"], one["StorageThroughput"]), (100, 3000, 125))
    equal((one["MultiAZ"], one["SecondaryAvailabilityZone"]), (True, "eu-west-1b"))
    equal(one["ReadReplicaDBInstanceIdentifiers"], ["db-2"])
    equal(one["DBInstanceArn"], arn("rds", "db:db-1"))
    equal(one["InstanceCreateTime"], CREATED)
    equal(one["PendingModifiedValues"], {"DBInstanceClass": "db.m6g.large"})
    equal(tags(one["TagList"]), {"team": "users & co", "stage": "<prod>"})
    equal(one["CertificateDetails"]["ValidTill"], CREATED + datetime.timedelta(days=365))
    two = named["db-2"]
    equal((two["ReadReplicaSourceDBInstanceIdentifier"], two["TagList"]), ("db-1", []))
    equal(two["StatusInfos"][0]["Status"], "replicating")
    equal(named["db-3"]["DBInstanceStatus"], "stopped")
    found = rds.describe_db_instances(DBInstanceIdentifier="db-1")["DBInstances"]
    equal([instance["DBInstanceIdentifier"] for instance in found], ["db-1"])
    found = rds.describe_db_instances(Filters=[{"Name": "db-instance-id", "Values": ["db-2", "db-3"]}])
    equal(len(found["DBInstances"]), 2)
    equal(code(rds.describe_db_instances, DBInstanceIdentifier="nobody"), "DBInstanceNotFound")
    equal(code(rds.describe_db_instances, MaxRecords=5), "InvalidParameterValue")
    equal(code(rds.describe_db_instances, Marker="guessed"), "InvalidParameterValue")
    _, clusters = pages(rds, "describe_db_clusters", "DBClusters")
    equal([cluster["DBClusterIdentifier"] for cluster in clusters], ["aurora"])
    equal(clusters[0]["DBClusterMembers"][0]["IsClusterWriter"], True)
    equal(clusters[0]["ServerlessV2ScalingConfiguration"], {"MinCapacity": 0.5, "MaxCapacity": 16.0})
    _, proxies = pages(rds, "describe_db_proxies", "DBProxies")
    equal([proxy["DBProxyName"] for proxy in proxies], ["pool"])
    assert proxies[0]["DBProxyArn"].startswith(arn("rds", "db-proxy:prx-")), proxies
    _, groups = pages(rds, "describe_db_proxy_target_groups", "TargetGroups", DBProxyName="pool")
    equal(groups[0]["ConnectionPoolConfig"]["MaxConnectionsPercent"], 90)
    _, targets = pages(rds, "describe_db_proxy_targets", "Targets", DBProxyName="pool")
    equal([(one["RdsResourceId"], one["TargetHealth"]["State"]) for one in targets], [("db-1", "AVAILABLE")])
    equal(code(rds.describe_db_proxy_targets, DBProxyName="none"), "DBProxyNotFoundFault")
    _, waiting = pages(rds, "describe_pending_maintenance_actions", "PendingMaintenanceActions")
    equal(waiting[0]["ResourceIdentifier"], arn("rds", "db:db-1"))
    equal(waiting[0]["PendingMaintenanceActionDetails"][0]["Action"], "system-update")
    _, events = pages(rds, "describe_events", "Events", Duration=600)
    equal([event["Message"] for event in events], ["Multi-AZ instance failover started."])
    equal((events[0]["EventCategories"], events[0]["SourceIdentifier"]), (["failover"], "db-1"))
    _, events = pages(rds, "describe_events", "Events", Duration=600, EventCategories=["backup"])
    equal(events, [])
    equal(code(rds.describe_events, SourceIdentifier="db-1"), "InvalidParameterCombination")
    _, certificates = pages(rds, "describe_certificates", "Certificates")
    equal(certificates[0]["CertificateIdentifier"], "rds-ca-rsa2048-g1")
    _, parameters = pages(rds, "describe_db_parameters", "Parameters", DBParameterGroupName="default.postgres16")
    equal([(one["ParameterName"], one["ParameterValue"]) for one in parameters], [("max_connections", "200")])
    equal(code(rds.describe_db_parameters, DBParameterGroupName="none"), "DBParameterGroupNotFound")
    versions = rds.describe_db_major_engine_versions(Engine="postgres")["DBMajorEngineVersions"]
    ends = {
        life["LifecycleSupportName"]: life["LifecycleSupportEndDate"].year
        for life in versions[0]["SupportedEngineLifecycles"]
    }
    equal(ends, {"open-source-rds-standard-support": 2029, "open-source-rds-extended-support": 2032})


def elasticache():
    cache = client("elasticache")
    lengths, clusters = pages(
        cache, "describe_cache_clusters", "CacheClusters", PaginationConfig={"PageSize": 20}
    )
    equal(lengths, [20, 2])
    assert all(not cluster.get("CacheNodes") for cluster in clusters), clusters
    one = cache.describe_cache_clusters(CacheClusterId="users-001", ShowCacheNodeInfo=True)["CacheClusters"][0]
    equal([node["CacheNodeId"] for node in one["CacheNodes"]], ["0001"])
    equal((one["CacheNodeType"], one["ReplicationGroupId"]), ("cache.m6g.large", "users"))
    equal(one["ARN"], arn("elasticache", "cluster:users-001"))
    _, groups = pages(cache, "describe_replication_groups", "ReplicationGroups")
    members = groups[0]["NodeGroups"][0]["NodeGroupMembers"]
    equal(
        [(member["CacheClusterId"], member["CurrentRole"]) for member in members],
        [("users-001", "primary"), ("users-002", "replica")],
    )
    equal(groups[0]["ARN"], arn("elasticache", "replicationgroup:users"))
    _, caches = pages(cache, "describe_serverless_caches", "ServerlessCaches")
    equal(caches[0]["CacheUsageLimits"]["DataStorage"], {"Maximum": 10, "Unit": "GB"})
    _, events = pages(cache, "describe_events", "Events", Duration=600)
    equal([event["Message"] for event in events], ["Failover to replica node users-002 completed"])
    _, parameters = pages(
        cache, "describe_cache_parameters", "Parameters", CacheParameterGroupName="default.redis7"
    )
    equal(
        {one["ParameterName"]: one["ParameterValue"] for one in parameters},
        {"maxmemory-policy": "volatile-lru", "maxclients": "65000"},
    )
    equal(code(cache.describe_cache_clusters, CacheClusterId="none"), "CacheClusterNotFound")


def kafka():
    kafka = client("kafka")
    _, clusters = pages(kafka, "list_clusters_v2", "ClusterInfoList", PaginationConfig={"PageSize": 1})
    equal([cluster["ClusterName"] for cluster in clusters], ["events", "express"])
    one = clusters[0]
    assert one["ClusterArn"].startswith(arn("kafka", "cluster/events/")), one
    equal((one["State"], one["CreationTime"]), ("ACTIVE", CREATED))
    provisioned = one["Provisioned"]
    equal(provisioned["NumberOfBrokerNodes"], 3)
    equal(provisioned["BrokerNodeGroupInfo"]["InstanceType"], "kafka.t3.small")
    equal(provisioned["OpenMonitoring"]["Prometheus"]["JmxExporter"], {"EnabledInBroker": True})
    equal(one["Tags"], {"team": "events"})
    told = kafka.describe_cluster_v2(ClusterArn=one["ClusterArn"])["ClusterInfo"]
    equal(told, one)
    lengths, nodes = pages(
        kafka, "list_nodes", "NodeInfoList", ClusterArn=one["ClusterArn"], PaginationConfig={"PageSize": 2}
    )
    equal(lengths, [2, 2, 2])
    brokers = [node for node in nodes if node["NodeType"] == "BROKER"]
    equal([node["BrokerNodeInfo"]["BrokerId"] for node in brokers], [1.0, 2.0, 3.0])
    assert all(node["BrokerNodeInfo"]["Endpoints"][0].startswith("b-") for node in brokers), brokers
    bootstrap = kafka.get_bootstrap_brokers(ClusterArn=one["ClusterArn"])
    equal(bootstrap["BootstrapBrokerStringSaslIam"].count(":9098"), 3)
    unknown = arn("kafka", "cluster/none/00000000-0000-0000-0000-000000000000-1")
    equal(code(kafka.list_nodes, ClusterArn=unknown), "NotFoundException")


def balancing():
    elb = client("elbv2")
    lengths, balancers = pages(
        elb, "describe_load_balancers", "LoadBalancers", PaginationConfig={"PageSize": 1}
    )
    equal(lengths, [1, 1])
    one = balancers[1]
    equal((one["LoadBalancerName"], one["Type"], one["State"]["Code"]), ("web", "application", "active"))
    assert one["LoadBalancerArn"].startswith(arn("elasticloadbalancing", "loadbalancer/app/web/")), one
    _, groups = pages(
        elb, "describe_target_groups", "TargetGroups", LoadBalancerArn=one["LoadBalancerArn"]
    )
    equal([group["TargetGroupName"] for group in groups], ["pods"])
    equal(groups[0]["LoadBalancerArns"], [one["LoadBalancerArn"]])
    health = elb.describe_target_health(TargetGroupArn=groups[0]["TargetGroupArn"])["TargetHealthDescriptions"]
    equal(
        [(target["Target"]["Id"], target["TargetHealth"]["State"]) for target in health],
        [("10.0.1.5", "healthy"), ("10.0.2.5", "unhealthy")],
    )
    told = elb.describe_tags(ResourceArns=[one["LoadBalancerArn"]])["TagDescriptions"]
    equal(tags(told[0]["Tags"]), {"team": "web"})
    equal(code(elb.describe_load_balancers, Names=["none"]), "LoadBalancerNotFound")


def tagging():
    tagging = client("resourcegroupstaggingapi")

    def found(**arguments):
        _, listed = pages(tagging, "get_resources", "ResourceTagMappingList", **arguments)
        return [one["ResourceARN"] for one in listed]

    everything = found(ResourcesPerPage=2)
    assert len(everything) > 8, everything
    equal(found(ResourceTypeFilters=["rds:db"]), [arn("rds", "db:db-1")])
    assert all("loadbalancer/app/" in one for one in found(ResourceTypeFilters=["elasticloadbalancing:loadbalancer/app"]))
    equal(found(ResourceTypeFilters=["elasticache:replicationgroup"]), [arn("elasticache", "replicationgroup:users")])
    equal(len(found(ResourceTypeFilters=["kafka", "rds"])), 2)
    equal(found(TagFilters=[{"Key": "team", "Values": ["web", "none"]}, {"Key": "team"}])[0].split("/")[1], "app")
    equal(found(TagFilters=[{"Key": "nothing"}]), [])
    mapped = tagging.get_resources(ResourceARNList=[arn("rds", "db:db-1")])["ResourceTagMappingList"]
    equal(tags(mapped[0]["Tags"]), {"team": "users & co", "stage": "<prod>"})


def ec2():
    ec2 = client("ec2")
    _, gateways = pages(ec2, "describe_nat_gateways", "NatGateways")
    equal([(one["State"], tags(one["Tags"])["Name"]) for one in gateways], [("available", "nat-a")])
    lengths, volumes = pages(ec2, "describe_volumes", "Volumes", PaginationConfig={"PageSize": 5})
    equal(lengths, [5, 2])
    equal({one["VolumeType"] for one in volumes}, {"gp3"})
    _, instances = pages(ec2, "describe_instances", "Reservations")
    one = instances[0]["Instances"][0]
    equal((one["InstanceType"], one["State"]["Name"], one["InstanceLifecycle"]), ("m5.large", "running", "spot"))
    attached = [{"Name": "attachment.instance-id", "Values": [one["InstanceId"]]}]
    equal(len(ec2.describe_volumes(Filters=attached)["Volumes"]), 7)
    found = ec2.describe_instances(Filters=[{"Name": "tag:Name", "Values": ["other"]}])
    equal(found["Reservations"], [])
    _, subnets = pages(ec2, "describe_subnets", "Subnets")
    equal([(one["AvailableIpAddressCount"], one["CidrBlock"]) for one in subnets], [(17, "10.0.1.0/24")])
    equal(code(ec2.describe_subnets, SubnetIds=["subnet-none"]), "InvalidSubnetID.NotFound")
    equal(code(ec2.describe_volumes, Filters=[{"Name": "colour", "Values": ["red"]}]), "InvalidParameterValue")


def others():
    _, groups = pages(client("autoscaling"), "describe_auto_scaling_groups", "AutoScalingGroups")
    one = groups[0]
    equal((one["AutoScalingGroupName"], one["MinSize"], one["MaxSize"], one["DesiredCapacity"]), ("nodes", 3, 5, 4))
    equal([member["LifecycleState"] for member in one["Instances"]], ["InService"])
    assert "GroupDesiredCapacity" in [metric["Metric"] for metric in one["EnabledMetrics"]], one

    quotas = client("service-quotas")
    lengths, listed = pages(
        quotas, "list_service_quotas", "Quotas", ServiceCode="rds", PaginationConfig={"PageSize": 1}
    )
    equal(lengths, [1, 1])
    equal([(quota["QuotaCode"], quota["Value"]) for quota in listed], [("L-1", 40.0), ("L-2", 100000.0)])
    quota = quotas.get_service_quota(ServiceCode="rds", QuotaCode="L-1")["Quota"]
    equal(quota["UsageMetric"]["MetricDimensions"], {"Service": "RDS", "Resource": "DBInstances"})
    equal(code(quotas.get_service_quota, ServiceCode="rds", QuotaCode="L-9"), "NoSuchResourceException")

    sqs = client("sqs")
    queue = sqs.get_queue_url(QueueName="interruptions")["QueueUrl"]
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    equal([message["Body"] for message in received], ['{"detail-type": "EC2 Spot Instance Interruption Warning"}'])
    # It hides from others meanwhile.
    assert not sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages")
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=received[0]["ReceiptHandle"])
    unknown = code(sqs.receive_message, QueueUrl=queue + "x")
    assert "NonExistentQueue" in unknown or unknown == "QueueDoesNotExist", unknown
    equal(code(sqs.delete_message, QueueUrl=queue, ReceiptHandle="guessed"), "ReceiptHandleIsInvalid")


def health():
    health = client("health", region="us-east-1")
    asked = {"filter": {"services": ["RDS"], "eventStatusCodes": ["open"]}}
    _, events = pages(health, "describe_events", "events", **asked)
    equal([(event["eventTypeCode"], event["startTime"]) for event in events], [("AWS_RDS_ISSUE", CREATED)])
    for since, count in [(CREATED, 3), (CREATED + datetime.timedelta(seconds=1), 0)]:
        asked = {"filter": {"regions": [REGION], "lastUpdatedTimes": [{"from": since}]}}
        _, events = pages(health, "describe_events", "events", **asked)
        equal([event["lastUpdatedTime"] for event in events], [CREATED] * count)
    equal(code(client("health", region=REGION).describe_events), "InvalidSignatureException")


def accounts():
    sts = client("sts")
    equal(sts.get_caller_identity()["Account"], ACCOUNT)
    role = sts.assume_role(RoleArn="arn:aws:iam::210987654321:role/reader", RoleSessionName="skopos")["Credentials"]
    keys = {
        "aws_access_key_id": role["AccessKeyId"],
        "aws_secret_access_key": role["SecretAccessKey"],
        "aws_session_token": role["SessionToken"],
    }
    equal(client("sts", keys=keys).get_caller_identity()["Account"], "210987654321")
    found = client("rds", region="us-east-1", keys=keys).describe_db_instances()["DBInstances"]
    equal([one["DBInstanceArn"] for one in found], ["arn:aws:rds:us-east-1:210987654321:db:far"])
    equal(client("rds", keys=keys).describe_db_instances()["DBInstances"], [])
    equal(client("rds", region="us-east-1").describe_db_instances()["DBInstances"], [])
    # One account may look into another that shares with it.
    cloudwatch = client("cloudwatch")
    listed = cloudwatch.list_metrics(Namespace="Shared", IncludeLinkedAccounts=True)
    equal(listed["OwningAccounts"], ["210987654321"])
    now = datetime.datetime.now(UTC)
    times = {"StartTime": now - datetime.timedelta(minutes=20), "EndTime": now - datetime.timedelta(minutes=10)}
    asked = [
        query("own", "Sum", "M", {}, "Shared"),
        query("theirs", "Sum", "M", {}, "Shared", AccountId="210987654321"),
        query("nobodys", "Sum", "M", {}, "Shared", AccountId="000000000000"),
    ]
    found = cloudwatch.get_metric_data(MetricDataQueries=asked, **times)["MetricDataResults"]
    equal([(len(one["Values"]) > 8, one["StatusCode"]) for one in found], [(False, "Complete"), (True, "Complete"), (False, "Forbidden")])


def faults():
    """The test has told the fake to fail these."""
    elb, cache, ec2 = client("elbv2"), client("elasticache"), client("ec2")
    try:
        elb.describe_load_balancers()
    except ClientError as error:
        equal(error.response["Error"]["Code"], "AccessDenied")
        message = error.response["Error"]["Message"]
        assert "is not authorized to perform: elasticloadbalancing:DescribeLoadBalancers" in message, message
    equal(code(cache.describe_cache_clusters), "ExpiredToken")
    equal(code(ec2.describe_volumes), "UnauthorizedOperation")
    equal(code(client("kafka").list_clusters_v2), "AccessDeniedException")
    equal(code(client("rds").describe_db_instances), "Throttling")
    equal(code(client("kafka").list_clusters_v2), "TooManyRequestsException")
    denied_metrics()
    by_cbor()
    denied_metrics()


def denied_metrics():
    """CloudWatch has the name that its query protocol had."""
    equal(code(client("cloudwatch").get_metric_statistics, **{
        "Namespace": "A", "MetricName": "B", "Period": 60, "Statistics": ["Sum"],
        "StartTime": CREATED, "EndTime": CREATED + datetime.timedelta(hours=1),
    }), "AccessDenied")


def denied():
    equal(code(client("health", region="us-east-1").describe_events), "SubscriptionRequiredException")


def by_cbor():
    """From here on by CBOR, wherever a service speaks it; the client prefers JSON."""
    import botocore.client
    import botocore.model

    names = [name for name in dir(botocore.model) if "PROTOCOLS" in name]
    assert names, "the client does not choose among protocols"
    for name in names:
        known = list(getattr(botocore.model, name))
        chosen = ["smithy-rpc-v2-cbor"] + [one for one in known if one != "smithy-rpc-v2-cbor"]
        setattr(botocore.model, name, tuple(chosen))
    equal(client("cloudwatch").meta.service_model.resolved_protocol, "smithy-rpc-v2-cbor")


for part in sys.argv[4:]:
    globals()[part]()
    print(part, "held")
