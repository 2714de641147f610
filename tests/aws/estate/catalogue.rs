//! What the services publish of one thing, healthy.
//!
//! Values stay below every threshold that anybody recommends; what an incident does to them stands beside them.

use super::shape::{Incident, Shape, Turn, count, gauge, spread, steady};
use Incident::{
    BalancerErrors, BrokerCreditsGone, BrokerLost, CacheEvicting, ConnectionsExhausted, DatabaseCreditsGone,
    PrimaryLost, StorageFull, ZoneLost,
};
use Turn::{Goes, Gone, Is, Times};

const MIB: f64 = 1024.0 * 1024.0;
const GIB: f64 = 1024.0 * MIB;

/// Twenty-three of an instance of PostgreSQL with 8 GiB of memory and 100 GiB of disk.
pub(super) fn database() -> Vec<Shape> {
    vec![
        gauge("CPUUtilization", "Percent", 12.0, 48.0),
        gauge("DatabaseConnections", "Count", 60.0, 120.0),
        gauge("FreeableMemory", "Bytes", 3.2 * GIB, 2.6 * GIB),
        gauge("FreeStorageSpace", "Bytes", 44.0 * GIB, 43.0 * GIB),
        spread("ReadLatency", "Seconds", 0.0004, 0.0012),
        spread("WriteLatency", "Seconds", 0.0008, 0.0025),
        gauge("ReadIOPS", "Count/Second", 60.0, 420.0),
        gauge("WriteIOPS", "Count/Second", 40.0, 310.0),
        gauge("ReadThroughput", "Bytes/Second", 1.0 * MIB, 7.0 * MIB),
        gauge("WriteThroughput", "Bytes/Second", 1.0 * MIB, 6.0 * MIB),
        gauge("DiskQueueDepth", "Count", 0.1, 1.6),
        steady("SwapUsage", "Bytes", 12.0 * MIB),
        gauge("DBLoad", "None", 0.2, 0.9),
        gauge("DBLoadCPU", "None", 0.15, 0.7),
        gauge("DBLoadNonCPU", "None", 0.05, 0.2),
        gauge("NetworkReceiveThroughput", "Bytes/Second", 0.3 * MIB, 2.5 * MIB),
        gauge("NetworkTransmitThroughput", "Bytes/Second", 0.5 * MIB, 6.0 * MIB),
        gauge("TransactionLogsDiskUsage", "Bytes", 0.6 * GIB, 1.1 * GIB),
        steady("MaximumUsedTransactionIDs", "Count", 180_000_000.0),
        gauge("EBSByteBalance%", "Percent", 99.0, 97.0),
        gauge("EBSIOBalance%", "Percent", 99.0, 97.0),
        steady("OldestReplicationSlotLag", "Bytes", 2.0 * MIB),
        gauge("CPUCreditBalance", "Count", 830.0, 790.0),
    ]
}

pub(super) fn replica_lag() -> Shape {
    gauge("ReplicaLag", "Seconds", 0.0, 1.5)
}

/// What the primary of the users' estate goes through.
pub(super) fn primary(shape: Shape) -> Shape {
    let name = shape.name();
    let shape = shape.when(PrimaryLost, Gone);
    match name {
        "DatabaseConnections" => shape.when(ConnectionsExhausted, Is(183.0)),
        "CPUCreditBalance" => shape.when(DatabaseCreditsGone, Goes(0.0, 10.0)),
        "FreeStorageSpace" => shape.when(StorageFull, Is(0.05 * GIB)),
        "WriteIOPS" | "WriteThroughput" => shape.when(StorageFull, Is(0.0)),
        _ => shape,
    }
}

/// Twenty-two of a node with 6.4 GiB. Only a replica lags.
pub(super) fn cache(is_primary: bool) -> Vec<Shape> {
    let lag = if is_primary { (0.0, 0.0) } else { (0.05, 0.4) };
    vec![
        gauge("EngineCPUUtilization", "Percent", 6.0, 32.0),
        gauge("CPUUtilization", "Percent", 4.0, 22.0),
        gauge("DatabaseMemoryUsagePercentage", "Percent", 48.0, 61.0).when(CacheEvicting, Is(99.5)),
        gauge("FreeableMemory", "Bytes", 2.8 * GIB, 2.2 * GIB).when(CacheEvicting, Is(0.3 * GIB)),
        steady("SwapUsage", "Bytes", 1.0 * MIB),
        count("Evictions", 0.0, 0.0).when(CacheEvicting, Is(640.0)),
        gauge("CurrConnections", "Count", 120.0, 260.0),
        count("NewConnections", 2.0, 20.0),
        gauge("CacheHitRate", "Percent", 97.0, 93.0).when(CacheEvicting, Is(58.0)),
        count("CacheHits", 4_000.0, 26_000.0).when(CacheEvicting, Times(0.62)),
        count("CacheMisses", 200.0, 1_500.0).when(CacheEvicting, Times(7.0)),
        gauge("ReplicationLag", "Seconds", lag.0, lag.1),
        steady("IsMaster", "Count", f64::from(u8::from(is_primary))),
        steady("MasterLinkHealthStatus", "Count", 1.0),
        steady("NetworkBandwidthInAllowanceExceeded", "Count", 0.0),
        steady("NetworkBandwidthOutAllowanceExceeded", "Count", 0.0),
        steady("NetworkPacketsPerSecondAllowanceExceeded", "Count", 0.0),
        steady("NetworkConntrackAllowanceExceeded", "Count", 0.0),
        gauge("NetworkBytesIn", "Bytes", 20.0 * MIB, 110.0 * MIB),
        gauge("NetworkBytesOut", "Bytes", 40.0 * MIB, 260.0 * MIB),
        gauge("CurrItems", "Count", 300_000.0, 420_000.0),
        gauge("BytesUsedForCache", "Bytes", 2.4 * GIB, 3.1 * GIB).when(CacheEvicting, Is(5.1 * GIB)),
    ]
}

/// More that a node publishes.
pub(super) fn cache_more() -> Vec<Shape> {
    vec![
        spread("SuccessfulReadRequestLatency", "Microseconds", 150.0, 320.0),
        spread("SuccessfulWriteRequestLatency", "Microseconds", 180.0, 410.0),
        steady("MemoryFragmentationRatio", "None", 1.08),
        steady("SaveInProgress", "Count", 0.0),
        steady("TrafficManagementActive", "Count", 0.0),
        steady("AuthenticationFailures", "Count", 0.0),
        count("GetTypeCmds", 4_000.0, 27_000.0),
        count("SetTypeCmds", 400.0, 3_000.0),
        count("Reclaimed", 300.0, 2_500.0),
    ]
}

/// Four of a cluster. Each broker says them, and those that do not know say 0.
pub(super) fn kafka_cluster(brokers: u32, partitions: f64, topics: f64) -> Vec<Shape> {
    vec![
        steady("ActiveControllerCount", "Count", 1.0).first_of(brokers),
        steady("OfflinePartitionsCount", "Count", 0.0).first_of(brokers),
        steady("GlobalPartitionCount", "Count", partitions).first_of(brokers),
        steady("GlobalTopicCount", "Count", topics).first_of(brokers),
    ]
}

/// Sixteen of a broker.
pub(super) fn broker() -> Vec<Shape> {
    let others_work_more = |shape: Shape| shape.when(BrokerLost, Times(1.5)).when(ZoneLost, Times(1.5));
    vec![
        others_work_more(gauge("CpuUser", "Percent", 6.0, 22.0)),
        others_work_more(gauge("CpuSystem", "Percent", 2.0, 7.0)),
        gauge("CpuIdle", "Percent", 90.0, 70.0),
        gauge("KafkaDataLogsDiskUsed", "Percent", 36.0, 38.0),
        steady("KafkaAppLogsDiskUsed", "Percent", 4.0),
        steady("RootDiskUsed", "Percent", 31.0),
        gauge("HeapMemoryAfterGC", "Percent", 24.0, 38.0),
        steady("PartitionCount", "Count", 20.0),
        steady("LeaderCount", "Count", 8.0),
        others_work_more(gauge("BytesInPerSec", "Bytes/Second", 60_000.0, 340_000.0)),
        others_work_more(gauge("BytesOutPerSec", "Bytes/Second", 120_000.0, 520_000.0)),
        gauge("MessagesInPerSec", "Count/Second", 30.0, 170.0),
        gauge("ConnectionCount", "Count", 40.0, 70.0),
        steady("UnderReplicatedPartitions", "Count", 0.0)
            .when(BrokerLost, Is(12.0))
            .when(ZoneLost, Is(12.0)),
        steady("UnderMinIsrPartitionCount", "Count", 0.0),
        gauge("CPUCreditBalance", "Count", 570.0, 540.0).when(BrokerCreditsGone, Goes(20.0, 10.0)),
    ]
}

pub(super) fn topic() -> Vec<Shape> {
    vec![
        gauge("BytesInPerSec", "Bytes/Second", 30_000.0, 170_000.0),
        gauge("BytesOutPerSec", "Bytes/Second", 60_000.0, 260_000.0),
    ]
}

/// Three of a consumer group and a topic.
pub(super) fn lag() -> Vec<Shape> {
    vec![
        gauge("EstimatedMaxTimeLag", "Seconds", 0.0, 4.0),
        gauge("MaxOffsetLag", "Count", 0.0, 120.0),
        gauge("SumOffsetLag", "Count", 0.0, 300.0),
    ]
}

/// Nine of a load balancer with so many requests a minute by day. What is nothing is not published.
pub(super) fn balancer(requests: f64) -> Vec<Shape> {
    vec![
        count("RequestCount", requests * 0.15, requests),
        count("HTTPCode_ELB_5XX_Count", 0.0, 0.0).when(BalancerErrors, Is(requests * 0.03)),
        count("HTTPCode_ELB_4XX_Count", 1.0, requests * 0.002),
        gauge("ActiveConnectionCount", "Count", 90.0, 700.0),
        count("NewConnectionCount", requests * 0.01, requests * 0.06),
        count("RejectedConnectionCount", 0.0, 0.0),
        gauge("ProcessedBytes", "Bytes", requests * 400.0, requests * 3_000.0),
        gauge("ConsumedLCUs", "Count", 0.4, 2.6),
        count("ClientTLSNegotiationErrorCount", 0.0, 3.0),
    ]
}

/// Eight of a target group and its load balancer.
pub(super) fn target_group(requests: f64, hosts: f64) -> Vec<Shape> {
    let left = (hosts * 2.0 / 3.0).floor();
    vec![
        count("HTTPCode_Target_2XX_Count", requests * 0.14, requests * 0.97)
            .when(BalancerErrors, Times(0.85)),
        count("HTTPCode_Target_4XX_Count", requests * 0.002, requests * 0.01),
        count("HTTPCode_Target_5XX_Count", 0.0, requests * 0.0004).when(BalancerErrors, Is(requests * 0.12)),
        spread("TargetResponseTime", "Seconds", 0.03, 0.11).when(BalancerErrors, Times(3.0)),
        steady("HealthyHostCount", "Count", hosts).when(ZoneLost, Is(left)),
        steady("UnHealthyHostCount", "Count", 0.0).when(ZoneLost, Is(hosts - left)),
        count("TargetConnectionErrorCount", 0.0, 0.0).when(ZoneLost, Is(requests * 0.02)),
        count("UnhealthyRoutingRequestCount", 0.0, 0.0),
    ]
}

/// Of a proxy; who asks must sum up, as each of its two machines says its own.
pub(super) fn proxy() -> Vec<Shape> {
    vec![
        gauge("ClientConnections", "Count", 70.0, 180.0),
        count("ClientConnectionsReceived", 4.0, 30.0),
        count("ClientConnectionsClosed", 4.0, 30.0),
        count("ClientConnectionsSetupSucceeded", 4.0, 30.0),
        steady("ClientConnectionsSetupFailedAuth", "Count", 0.0),
        gauge("DatabaseConnections", "Count", 40.0, 90.0).when(ConnectionsExhausted, Is(180.0)),
        steady("MaxDatabaseConnectionsAllowed", "Count", 200.0),
        gauge("DatabaseConnectionsCurrentlyBorrowed", "Count", 4.0, 30.0)
            .when(ConnectionsExhausted, Is(180.0)),
        gauge("DatabaseConnectionsCurrentlyInTransaction", "Count", 2.0, 20.0),
        gauge("DatabaseConnectionsCurrentlySessionPinned", "Count", 0.0, 2.0),
        spread("DatabaseConnectionsBorrowLatency", "Microseconds", 60.0, 300.0)
            .when(ConnectionsExhausted, Is(240_000.0)),
        steady("DatabaseConnectionsSetupFailed", "Count", 0.0).when(PrimaryLost, Is(90.0)),
        count("QueryRequests", 5_000.0, 30_000.0).when(PrimaryLost, Is(0.0)),
        spread("QueryResponseLatency", "Microseconds", 1_500.0, 4_000.0),
        spread("QueryDatabaseResponseLatency", "Microseconds", 1_200.0, 3_500.0),
    ]
}

pub(super) fn proxy_target() -> Vec<Shape> {
    vec![gauge("AvailabilityPercentage", "Percent", 100.0, 100.0).when(PrimaryLost, Is(0.0))]
}

pub(super) fn nat_gateway() -> Vec<Shape> {
    vec![
        gauge("ActiveConnectionCount", "Count", 200.0, 1_800.0),
        steady("ErrorPortAllocation", "Count", 0.0),
        steady("PacketsDropCount", "Count", 0.0),
        count("ConnectionAttemptCount", 300.0, 2_400.0),
        count("ConnectionEstablishedCount", 300.0, 2_400.0),
        count("PacketsOutToDestination", 40_000.0, 300_000.0),
        count("PacketsInFromDestination", 50_000.0, 380_000.0),
        gauge("BytesOutToDestination", "Bytes", 8.0 * MIB, 70.0 * MIB),
        gauge("BytesInFromDestination", "Bytes", 20.0 * MIB, 190.0 * MIB),
    ]
}

pub(super) fn volume() -> Vec<Shape> {
    vec![
        steady("VolumeStalledIOCheck", "None", 0.0),
        steady("VolumeIOPSExceededCheck", "None", 0.0),
        steady("VolumeThroughputExceededCheck", "None", 0.0),
        count("VolumeReadOps", 40.0, 900.0),
        count("VolumeWriteOps", 200.0, 2_400.0),
        gauge("VolumeQueueLength", "Count", 0.01, 0.2),
    ]
}

pub(super) fn machine() -> Vec<Shape> {
    vec![
        gauge("CPUUtilization", "Percent", 22.0, 61.0),
        steady("StatusCheckFailed", "Count", 0.0),
        steady("StatusCheckFailed_Instance", "Count", 0.0),
        steady("StatusCheckFailed_System", "Count", 0.0),
        steady("StatusCheckFailed_AttachedEBS", "Count", 0.0),
    ]
}

pub(super) fn group(desired: f64) -> Vec<Shape> {
    let left = desired - 1.0;
    vec![
        steady("GroupDesiredCapacity", "None", desired),
        steady("GroupInServiceCapacity", "None", desired).when(ZoneLost, Is(left)),
        steady("GroupInServiceInstances", "None", desired).when(ZoneLost, Is(left)),
        steady("GroupTotalInstances", "None", desired).when(ZoneLost, Is(left)),
    ]
}
