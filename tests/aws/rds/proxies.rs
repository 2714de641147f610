//! RDS Proxy: proxies, how many connections each may have, and to which instances.

use super::{DbProxy, paged};
use crate::asked::Refusal;
use crate::place::{Place, arn};
use crate::protocol::tree::{Tree, tree};
use crate::services::Call;

fn missing(name: &str) -> Refusal {
    Refusal::new("DBProxyNotFoundFault", format!("DB Proxy {name} does not exist"))
}

pub(super) fn proxies(call: &Call<'_>) -> Result<Tree, Refusal> {
    let wanted = call.fields().text("DBProxyName");
    let (account, region) = (call.account, call.region);
    let found: Vec<(String, Tree)> = call.place(|place| {
        let all = place.rds.proxies.values();
        all.filter(|proxy| wanted.is_none_or(|wanted| wanted == proxy.name))
            .map(|proxy| {
                let said = tree! {
                    "DBProxyName": &proxy.name,
                    // Not its name: whoever wants it must ask here.
                    "DBProxyArn": arn("rds", region, account, &format!("db-proxy:{}", proxy.id)),
                    "Status": &proxy.status,
                    "EngineFamily": &proxy.engine_family,
                    "VpcId": "vpc-0123456789abcdef0",
                    "VpcSecurityGroupIds": Tree::members(["sg-0123456789abcdef0"]),
                    "VpcSubnetIds": Tree::members(["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]),
                    "RoleArn": format!("arn:aws:iam::{account}:role/rds-proxy"),
                    "Endpoint": format!("{}.proxy-c0ffee.{region}.rds.amazonaws.com", proxy.name),
                    "RequireTLS": proxy.require_tls,
                    "IdleClientTimeout": proxy.idle_timeout_seconds,
                    "DebugLogging": false,
                    "CreatedDate": proxy.created,
                    "UpdatedDate": proxy.created,
                };
                (proxy.name.clone(), said)
            })
            .collect()
    });
    if let (Some(wanted), true) = (wanted, found.is_empty()) {
        return Err(missing(wanted));
    }
    paged(call, ("DBProxies", "member"), found)
}

/// With the proxy that is named.
fn of<T>(call: &Call<'_>, look: impl FnOnce(&DbProxy, &Place) -> T) -> Result<T, Refusal> {
    let name = call.fields().needed("DBProxyName")?;
    if call
        .fields()
        .text("TargetGroupName")
        .is_some_and(|group| group != "default")
    {
        return Err(Refusal::new(
            "DBProxyTargetGroupNotFoundFault",
            "The only target group is default",
        ));
    }
    let looked = call.place(|place| place.rds.proxies.get(name).map(|proxy| look(proxy, place)));
    looked.ok_or_else(|| missing(name))
}

pub(super) fn groups(call: &Call<'_>) -> Result<Tree, Refusal> {
    let (account, region) = (call.account, call.region);
    let group = of(call, |proxy, _| {
        tree! {
            "DBProxyName": &proxy.name,
            "TargetGroupName": "default",
            "TargetGroupArn": arn(
                "rds",
                region,
                account,
                &format!("target-group:prx-tg-{}", proxy.id.trim_start_matches("prx-")),
            ),
            "IsDefault": true,
            "Status": "available",
            "ConnectionPoolConfig": tree! {
                "MaxConnectionsPercent": proxy.max_connections_percent,
                "MaxIdleConnectionsPercent": proxy.max_idle_connections_percent,
                "ConnectionBorrowTimeout": proxy.borrow_timeout_seconds,
                "SessionPinningFilters": Tree::members::<&str>([]),
            },
            "CreatedDate": proxy.created,
            "UpdatedDate": proxy.created,
        }
    })?;
    paged(
        call,
        ("TargetGroups", "member"),
        vec![("default".to_owned(), group)],
    )
}

pub(super) fn targets(call: &Call<'_>) -> Result<Tree, Refusal> {
    let (account, region) = (call.account, call.region);
    let targets = of(call, |proxy, place| {
        let targets = proxy.targets.iter().map(|target| {
            let is_known = place.rds.instances.contains_key(&target.instance);
            let (state, reason) = if is_known {
                (target.state.as_str(), target.reason.as_deref())
            } else {
                ("UNAVAILABLE", Some("UNREACHABLE"))
            };
            let said = tree! {
                "TargetArn": arn("rds", region, account, &format!("db:{}", target.instance)),
                "Endpoint": format!("{}.c0ffee.{region}.rds.amazonaws.com", target.instance),
                "RdsResourceId": &target.instance,
                "Port": 5432_i64,
                "Type": "RDS_INSTANCE",
                "Role": &target.role,
                "TargetHealth": tree! {"State": state, "Reason": reason},
            };
            (target.instance.clone(), said)
        });
        let mut targets: Vec<(String, Tree)> = targets.collect();
        targets.sort_by(|one, other| one.0.cmp(&other.0));
        targets
    })?;
    paged(call, ("Targets", "member"), targets)
}
