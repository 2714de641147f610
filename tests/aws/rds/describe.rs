//! What there is: instances, clusters, what waits to be done to them, certificates, and how long a version is supported.

use super::{invalid, paged, shown};
use crate::asked::Refusal;
use crate::protocol::tree::{Tree, tree};
use crate::services::Call;

/// Whether one has a value that is asked for; an ARN is as good as a name.
fn has(values: &[&str], own: &str) -> bool {
    let mut values = values
        .iter()
        .map(|value| value.rsplit(':').next().unwrap_or(value));
    values.any(|value| value.eq_ignore_ascii_case(own))
}

fn unknown_filter(name: &str) -> Refusal {
    invalid(format!("Unrecognized filter name: {name}"))
}

pub(super) fn instances(call: &Call<'_>) -> Result<Tree, Refusal> {
    let at = (call.account, call.region);
    let filters = call.fields().filters("Filters");
    let names = ["db-cluster-id", "db-instance-id", "dbi-resource-id", "engine"];
    if let Some((name, _)) = filters.iter().find(|(name, _)| !names.contains(name)) {
        return Err(unknown_filter(name));
    }
    let wanted = call.fields().text("DBInstanceIdentifier");
    let found: Vec<(String, Tree)> = call.place(|place| {
        let found = place.rds.instances.values().filter(|instance| {
            wanted.is_none_or(|wanted| has(&[wanted], &instance.id))
                && filters.iter().all(|(name, values)| match *name {
                    "db-cluster-id" => instance
                        .cluster
                        .as_ref()
                        .is_some_and(|cluster| has(values, cluster)),
                    "db-instance-id" => has(values, &instance.id),
                    "dbi-resource-id" => has(values, &instance.resource_id),
                    _ => has(values, &instance.engine),
                })
        });
        found
            .map(|instance| (instance.id.clone(), shown::instance(instance, &place.rds, at)))
            .collect()
    });
    if let (Some(wanted), true) = (wanted, found.is_empty()) {
        return Err(Refusal::new(
            "DBInstanceNotFound",
            format!("DBInstance {wanted} not found."),
        ));
    }
    paged(call, ("DBInstances", "DBInstance"), found)
}

pub(super) fn clusters(call: &Call<'_>) -> Result<Tree, Refusal> {
    let at = (call.account, call.region);
    let filters = call.fields().filters("Filters");
    let names = ["db-cluster-id", "engine"];
    if let Some((name, _)) = filters.iter().find(|(name, _)| !names.contains(name)) {
        return Err(unknown_filter(name));
    }
    let wanted = call.fields().text("DBClusterIdentifier");
    let found: Vec<(String, Tree)> = call.place(|place| {
        let found = place.rds.clusters.values().filter(|cluster| {
            wanted.is_none_or(|wanted| has(&[wanted], &cluster.id))
                && filters.iter().all(|(name, values)| match *name {
                    "db-cluster-id" => has(values, &cluster.id),
                    _ => has(values, &cluster.engine),
                })
        });
        found
            .map(|cluster| (cluster.id.clone(), shown::cluster(cluster, at)))
            .collect()
    });
    if let (Some(wanted), true) = (wanted, found.is_empty()) {
        return Err(Refusal::new(
            "DBClusterNotFoundFault",
            format!("DBCluster {wanted} not found."),
        ));
    }
    paged(call, ("DBClusters", "DBCluster"), found)
}

pub(super) fn maintenance(call: &Call<'_>) -> Result<Tree, Refusal> {
    let wanted = call.fields().text("ResourceIdentifier");
    let found: Vec<(String, Tree)> = call.place(|place| {
        let all = place.rds.maintenance.iter();
        all.filter(|(arn, actions)| wanted.is_none_or(|wanted| wanted == *arn) && !actions.is_empty())
            .map(|(arn, actions)| {
                let actions = actions.iter().map(|action| {
                    tree! {
                        "Action": &action.action,
                        "AutoAppliedAfterDate": action.auto_applied_after,
                        "ForcedApplyDate": action.forced_apply,
                        "CurrentApplyDate": action.current_apply,
                        "Description": &action.description,
                    }
                });
                let said = tree! {
                    "ResourceIdentifier": arn,
                    "PendingMaintenanceActionDetails": Tree::list("PendingMaintenanceAction", actions),
                };
                (arn.clone(), said)
            })
            .collect()
    });
    paged(
        call,
        ("PendingMaintenanceActions", "ResourcePendingMaintenanceActions"),
        found,
    )
}

pub(super) fn certificates(call: &Call<'_>) -> Result<Tree, Refusal> {
    let wanted = call.fields().text("CertificateIdentifier");
    let region = call.region;
    let found: Vec<(String, Tree)> = call.place(|place| {
        let all = place.rds.certificates.values();
        all.filter(|certificate| wanted.is_none_or(|wanted| wanted == certificate.id))
            .map(|certificate| {
                let said = tree! {
                    "CertificateIdentifier": &certificate.id,
                    "CertificateType": "CA",
                    "Thumbprint": "0000000000000000000000000000000000000000",
                    "ValidFrom": certificate.valid_from,
                    "ValidTill": certificate.valid_till,
                    // It is nobody's in particular.
                    "CertificateArn": format!("arn:aws:rds:{region}::cert:{}", certificate.id),
                    "CustomerOverride": false,
                };
                (certificate.id.clone(), said)
            })
            .collect()
    });
    if let (Some(wanted), true) = (wanted, found.is_empty()) {
        return Err(Refusal::new(
            "CertificateNotFound",
            format!("Certificate {wanted} not found."),
        ));
    }
    paged(call, ("Certificates", "Certificate"), found)
}

/// `DescribeDBMajorEngineVersions`.
pub(super) fn lifecycles(call: &Call<'_>) -> Result<Tree, Refusal> {
    let fields = call.fields();
    let (engine, major) = (fields.text("Engine"), fields.text("MajorEngineVersion"));
    let found: Vec<(String, Tree)> = call.place(|place| {
        let mut found: Vec<(String, Tree)> = place
            .rds
            .lifecycles
            .iter()
            .filter(|known| {
                engine.is_none_or(|engine| engine == known.engine)
                    && major.is_none_or(|major| major == known.major_version)
            })
            .map(|known| {
                let standard = [("open-source-rds-standard-support", known.standard)];
                let extended = known
                    .extended
                    .map(|dates| ("open-source-rds-extended-support", dates));
                let supported = standard.into_iter().chain(extended).map(|(name, (from, to))| {
                    tree! {
                        "LifecycleSupportName": name,
                        "LifecycleSupportStartDate": from,
                        "LifecycleSupportEndDate": to,
                    }
                });
                let said = tree! {
                    "Engine": &known.engine,
                    "MajorEngineVersion": &known.major_version,
                    "SupportedEngineLifecycles": Tree::list("SupportedEngineLifecycle", supported),
                };
                (format!("{} {}", known.engine, known.major_version), said)
            })
            .collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        found
    });
    paged(call, ("DBMajorEngineVersions", "DBMajorEngineVersion"), found)
}

/// Of those there are hundreds; here there are those that a test has set.
pub(super) fn parameters(call: &Call<'_>) -> Result<Tree, Refusal> {
    let group = call.fields().needed("DBParameterGroupName")?;
    let source = call.fields().text("Source").unwrap_or("user");
    let found = call.place(|place| {
        let known = place.rds.parameters.get(group)?;
        let said = known.iter().map(|(name, value)| {
            let said = tree! {
                "ParameterName": name,
                "ParameterValue": value,
                "Source": "user",
                "ApplyType": "static",
                "DataType": "string",
                "IsModifiable": true,
                "ApplyMethod": "pending-reboot",
            };
            (name.clone(), said)
        });
        Some(said.collect::<Vec<_>>())
    });
    let missing = || {
        Refusal::new(
            "DBParameterGroupNotFound",
            format!("DBParameterGroup {group} not found."),
        )
    };
    // Those that come with an engine are everywhere, and have nothing of a user's in them.
    let default = group.starts_with("default.").then(Vec::new);
    let mut found = found.or(default).ok_or_else(missing)?;
    found.retain(|_| source == "user");
    paged(call, ("Parameters", "Parameter"), found)
}
