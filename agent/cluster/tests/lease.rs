//! Two replicas, one Lease: a write is taken over the state that was read and over no other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kubernetes_tests::ControlPlane;
use model::{Arbiter, ArbiterError, Lease};
use prometheus::Registry;

use super::{account, bind, cluster};
use crate::Scope;

const RIGHTS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: skopos-lease}
rules:
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, update], resourceNames: [skopos]}
"#;

fn lease(holder: &str, epoch: u64, renewals: u64) -> Lease {
    Lease {
        holder: (!holder.is_empty()).then(|| holder.into()),
        epoch,
        duration_millis: 10_500,
        renewals,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_written_over_the_state_that_was_read_and_keeps_what_others_put_there() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    plane.apply(RIGHTS);
    let kubeconfig = account(&plane, "leader");
    bind(&plane, "leader", "skopos-lease");
    let mut arbiters: Vec<Arc<dyn Arbiter>> = Vec::new();
    for _ in 0..2 {
        let cluster = cluster(kubeconfig.clone(), Scope::Cluster, "n", &Registry::new()).await;
        arbiters.push(cluster.arbiter());
    }
    let [one, two] = arbiters.as_slice() else {
        unreachable!()
    };
    assert_eq!(one.read().await.unwrap(), None);
    let first = one.write(lease("a", 1, 0), None).await.unwrap();
    assert_eq!(two.write(lease("b", 1, 0), None).await, Err(ArbiterError::Lost));
    let (seen, version) = two.read().await.unwrap().unwrap();
    assert_eq!((&seen, &version), (&lease("a", 1, 0), &first));

    plane.kubectl(&["label", "lease", "skopos", "team=platform"]);
    assert_eq!(
        one.write(lease("a", 1, 1), Some(first)).await,
        Err(ArbiterError::Lost)
    );
    let (_, version) = one.read().await.unwrap().unwrap();
    let second = one.write(lease("a", 1, 1), Some(version.clone())).await.unwrap();
    assert_eq!(
        two.write(lease("b", 2, 0), Some(version)).await,
        Err(ArbiterError::Lost)
    );
    let (_, version) = two.read().await.unwrap().unwrap();
    assert_eq!(version, second);
    two.write(lease("b", 2, 0), Some(version)).await.unwrap();
    let shown = plane.kubectl(&["get", "lease", "skopos", "-o", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["metadata"]["labels"]["team"], "platform");
    assert_eq!(shown["metadata"]["annotations"]["skopos.io/epoch"], "2");
    assert_eq!(shown["spec"]["holderIdentity"], "b");
    assert_eq!(
        (
            &shown["spec"]["leaseDurationSeconds"],
            &shown["spec"]["leaseTransitions"]
        ),
        (&11.into(), &1.into())
    );

    // Given back, and deleted by somebody.
    let (_, version) = two.read().await.unwrap().unwrap();
    two.write(lease("", 2, 1), Some(version)).await.unwrap();
    let (given, version) = one.read().await.unwrap().unwrap();
    assert_eq!((given.holder, given.epoch), (None, 2));
    plane.kubectl(&["delete", "lease", "skopos"]);
    assert_eq!(
        one.write(lease("a", 3, 0), Some(version)).await,
        Err(ArbiterError::Lost)
    );
    assert_eq!(one.read().await.unwrap(), None);
    one.write(lease("a", 3, 0), None).await.unwrap();

    // While the API server stands still nobody waits for it for long, and afterwards it is asked again.
    plane.pause_api();
    let begun = Instant::now();
    assert!(matches!(one.read().await, Err(ArbiterError::Away(_))));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    plane.resume_api();
    let mut read = one.read().await;
    for _ in 0..20 {
        if read.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        read = one.read().await;
    }
    assert_eq!(read.unwrap().unwrap().0, lease("a", 3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_five_that_want_a_lease_at_once_one_has_it_each_time() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane.namespace("race");
    let mut arbiters = Vec::new();
    for _ in 0..5 {
        let config = crate::Config {
            kubeconfig: Some(plane.kubeconfig()),
            lease_name: "raced".to_owned(),
            lease_namespace: "race".to_owned(),
            ..crate::Config::default()
        };
        let clock = telemetry::clock::RuntimeClock::system();
        let cluster = crate::Cluster::new(config, Scope::Cluster, "n", clock, &Registry::new()).await;
        arbiters.push(cluster.unwrap().arbiter());
    }
    for epoch in 1..=20 {
        let state = arbiters[0].read().await.unwrap();
        let over = state.map(|(_, version)| version);
        let writing = arbiters.iter().enumerate().map(|(nth, arbiter)| {
            let (arbiter, over) = (Arc::clone(arbiter), over.clone());
            tokio::spawn(async move { arbiter.write(lease(&nth.to_string(), epoch, 0), over).await })
        });
        let writing: Vec<_> = writing.collect();
        let mut won = 0;
        for write in writing {
            match write.await.unwrap() {
                Ok(_) => won += 1,
                Err(error) => assert_eq!(error, ArbiterError::Lost),
            }
        }
        assert_eq!(won, 1, "epoch {epoch}");
    }
}
