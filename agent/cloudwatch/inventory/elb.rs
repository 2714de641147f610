//! Load balancers and the groups of targets behind them.

use std::collections::HashMap;

use super::ask::{Asker, Refused};
use super::operations as ask;
use super::resource::{Resource, State};
use super::xml::Node;

pub(super) async fn balancers(ask: &Asker) -> Result<Vec<Resource>, Refused> {
    let mut found = Vec::new();
    let read =
        |page: &Node<'_, '_>| found.extend(page.members("LoadBalancers").filter_map(|node| balancer(&node)));
    ask.pages(&ask::LOAD_BALANCERS, &[], read).await?;
    let kinds: HashMap<String, (&'static str, String)> = found
        .iter()
        .filter_map(|resource| {
            let (_, dimension) = resource.dimensions.first()?;
            Some((resource.arn.to_string(), (resource.kind, dimension.to_string())))
        })
        .collect();
    let mut groups = Vec::new();
    let read = |page: &Node<'_, '_>| {
        for node in page.members("TargetGroups") {
            groups.extend(group(&node, &kinds));
        }
    };
    ask.pages(&ask::TARGET_GROUPS, &[], read).await?;
    found.extend(groups);
    Ok(found)
}

fn balancer(node: &Node<'_, '_>) -> Option<Resource> {
    let arn = node.text("LoadBalancerArn")?;
    // `app/name/id` of `…:loadbalancer/app/name/id`: that is what metrics call it.
    let (_, dimension) = arn.split_once(":loadbalancer/")?;
    let (kind, family) = match node.text("Type")? {
        "application" => ("load_balancer", "applicationelb"),
        "network" => ("network_load_balancer", "networkelb"),
        _ => return None,
    };
    let state = node
        .at(&["State"])
        .and_then(|state| state.text("Code"))
        .unwrap_or_default();
    let is_live = matches!(state, "active" | "active_impaired");
    let mut resource = Resource {
        kind,
        family,
        arn: arn.into(),
        dimensions: vec![("LoadBalancer".into(), dimension.into())],
        state: if is_live { State::Live } else { State::Idle },
        info: vec![
            (
                "load_balancer",
                node.text("LoadBalancerName").unwrap_or_default().to_owned(),
            ),
            ("scheme", node.text("Scheme").unwrap_or_default().to_owned()),
            ("state", state.to_owned()),
        ],
        ..Resource::default()
    };
    resource.flag("active", is_live);
    Some(resource)
}

/// One for each balancer that the group is behind; nothing is asked of a group behind none.
fn group(node: &Node<'_, '_>, balancers: &HashMap<String, (&'static str, String)>) -> Vec<Resource> {
    let Some(arn) = node.text("TargetGroupArn") else {
        return Vec::new();
    };
    let Some(dimension) = arn.rsplit_once(':').map(|(_, dimension)| dimension) else {
        return Vec::new();
    };
    let behind = node
        .members("LoadBalancerArns")
        .filter_map(|balancer| balancers.get(balancer.own_text()?));
    behind
        .map(|(kind, balancer)| {
            let is_network = *kind == "network_load_balancer";
            Resource {
                kind: if is_network {
                    "network_target_group"
                } else {
                    "target_group"
                },
                family: if is_network {
                    "networkelb_target_group"
                } else {
                    "applicationelb_target_group"
                },
                arn: arn.into(),
                dimensions: vec![
                    ("TargetGroup".into(), dimension.into()),
                    ("LoadBalancer".into(), balancer.as_str().into()),
                ],
                info: vec![
                    (
                        "target_group",
                        node.text("TargetGroupName").unwrap_or_default().to_owned(),
                    ),
                    (
                        "target_type",
                        node.text("TargetType").unwrap_or_default().to_owned(),
                    ),
                    ("protocol", node.text("Protocol").unwrap_or_default().to_owned()),
                ],
                ..Resource::default()
            }
        })
        .collect()
}
