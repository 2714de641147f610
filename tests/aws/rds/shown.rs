//! Instances and clusters as they are described.

use super::{DbCluster, DbInstance, Pending, Rds, Tags};
use crate::protocol::tree::{Tree, tree};

pub(super) fn tags(tags: &Tags) -> Tree {
    let tags = tags.iter();
    Tree::list("Tag", tags.map(|(key, value)| tree! {"Key": key, "Value": value}))
}

/// With `(account, region)`.
pub(super) fn instance(instance: &DbInstance, rds: &Rds, (account, region): (&str, &str)) -> Tree {
    let id = &instance.id;
    let copies = rds.instances.values();
    let copies = copies.filter(|other| other.replica_of.as_ref() == Some(id));
    let copies = Tree::list("ReadReplicaDBInstanceIdentifier", copies.map(|copy| &copy.id));
    // One that is being made has no address yet.
    let endpoint = (instance.status != "creating").then(|| {
        tree! {
            "Address": format!("{id}.c0ffee.{region}.rds.amazonaws.com"),
            "Port": port(&instance.engine),
            "HostedZoneId": "Z29XKXDKYMONMX",
        }
    });
    let replicates = instance.replica_of.as_ref().map(|_| {
        let status = tree! {
            "StatusType": "read replication",
            "Normal": instance.status == "available",
            "Status": if instance.status == "available" { "replicating" } else { "stopped" },
        };
        Tree::list("DBInstanceStatusInfo", [status])
    });
    tree! {
        "DBInstanceIdentifier": id,
        "DBInstanceClass": &instance.class,
        "Engine": &instance.engine,
        "DBInstanceStatus": &instance.status,
        "MasterUsername": "postgres",
        "Endpoint": endpoint,
        "AllocatedStorage": instance.allocated_gib,
        "InstanceCreateTime": instance.created,
        "PreferredBackupWindow": "03:00-03:30",
        "BackupRetentionPeriod": 7_i64,
        "DBParameterGroups": Tree::list("DBParameterGroup", [tree! {
            "DBParameterGroupName": &instance.parameter_group,
            "ParameterApplyStatus": "in-sync",
        }]),
        "AvailabilityZone": &instance.zone,
        "PreferredMaintenanceWindow": "sun:04:00-sun:04:30",
        "PendingModifiedValues": pending(&instance.pending),
        "MultiAZ": instance.multi_az,
        "EngineVersion": &instance.engine_version,
        "AutoMinorVersionUpgrade": true,
        "ReadReplicaSourceDBInstanceIdentifier": instance.replica_of.as_ref(),
        "ReadReplicaDBInstanceIdentifiers": copies,
        "LicenseModel": "postgresql-license",
        "Iops": instance.iops,
        "StorageThroughput": instance.throughput_mib,
        "SecondaryAvailabilityZone": instance.secondary_zone.as_ref(),
        "PubliclyAccessible": false,
        "StatusInfos": replicates,
        "StorageType": &instance.storage_type,
        "DbInstancePort": 0_i64,
        "DBClusterIdentifier": instance.cluster.as_ref(),
        "StorageEncrypted": true,
        "DbiResourceId": &instance.resource_id,
        "CACertificateIdentifier": &instance.certificate,
        "CopyTagsToSnapshot": true,
        "MonitoringInterval": instance.monitoring_seconds,
        "DBInstanceArn": crate::place::arn("rds", region, account, &format!("db:{id}")),
        "IAMDatabaseAuthenticationEnabled": false,
        "PerformanceInsightsEnabled": instance.performance_insights,
        "EnabledCloudwatchLogsExports": Tree::members(&instance.log_exports),
        "DeletionProtection": instance.deletion_protection,
        "MaxAllocatedStorage": instance.max_allocated_gib,
        "TagList": tags(&instance.tags),
        "NetworkType": "IPV4",
        "BackupTarget": "region",
        "CertificateDetails": tree! {
            "CAIdentifier": &instance.certificate,
            "ValidTill": instance.certificate_valid_till,
        },
        "EngineLifecycleSupport": "open-source-rds-extended-support",
    }
}

fn port(engine: &str) -> i64 {
    if engine.contains("postgres") { 5432 } else { 3306 }
}

fn pending(pending: &Pending) -> Tree {
    tree! {
        "DBInstanceClass": pending.class.as_ref(),
        "AllocatedStorage": pending.allocated_gib,
        "MultiAZ": pending.multi_az,
        "EngineVersion": pending.engine_version.as_ref(),
        "Iops": pending.iops,
        "StorageType": pending.storage_type.as_ref(),
        "CACertificateIdentifier": pending.certificate.as_ref(),
    }
}

pub(super) fn cluster(cluster: &DbCluster, (account, region): (&str, &str)) -> Tree {
    let id = &cluster.id;
    let members = cluster.members.iter().map(|(member, writes)| {
        tree! {
            "DBInstanceIdentifier": member,
            "IsClusterWriter": *writes,
            "DBClusterParameterGroupStatus": "in-sync",
            "PromotionTier": 1_i64,
        }
    });
    let serverless = cluster.serverless.map(|(least, most)| {
        tree! {"MinCapacity": least, "MaxCapacity": most}
    });
    tree! {
        "AllocatedStorage": 1_i64,
        "AvailabilityZones": Tree::list("AvailabilityZone", &cluster.zones),
        "BackupRetentionPeriod": 7_i64,
        "DBClusterIdentifier": id,
        "DBClusterParameterGroup": format!("default.{}", cluster.engine),
        "Status": &cluster.status,
        "Endpoint": format!("{id}.cluster-c0ffee.{region}.rds.amazonaws.com"),
        "ReaderEndpoint": format!("{id}.cluster-ro-c0ffee.{region}.rds.amazonaws.com"),
        "MultiAZ": cluster.multi_az,
        "Engine": &cluster.engine,
        "EngineVersion": &cluster.engine_version,
        "Port": port(&cluster.engine),
        "MasterUsername": "postgres",
        "DBClusterMembers": Tree::list("DBClusterMember", members),
        "StorageEncrypted": true,
        "DbClusterResourceId": &cluster.resource_id,
        "DBClusterArn": crate::place::arn("rds", region, account, &format!("cluster:{id}")),
        "ClusterCreateTime": cluster.created,
        "EngineMode": "provisioned",
        "StorageType": &cluster.storage_type,
        "TagList": tags(&cluster.tags),
        "ServerlessV2ScalingConfiguration": serverless,
    }
}
