//! Objects of every kind in states that are odd, drawn from a seed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Drawn objects, each as it is created and with its status.
pub struct Zoo {
    random: fastrand::Rng,
    pub objects: Vec<Value>,
}

const NAMESPACES: [&str; 3] = ["shop", "pay", "default"];

impl Zoo {
    pub fn new(seed: u64) -> Self {
        let mut zoo = Self {
            random: fastrand::Rng::with_seed(seed),
            objects: Vec::new(),
        };
        zoo.places();
        zoo.pods();
        zoo.workloads();
        zoo.jobs();
        zoo.scaling();
        zoo.storage();
        zoo.network();
        zoo
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.random.usize(0..all.len())]
    }

    fn maybe(&mut self) -> bool {
        self.random.bool()
    }

    fn time(&mut self) -> String {
        format!(
            "2026-0{}-1{}T0{}:1{}:2{}Z",
            self.random.u8(1..10),
            self.random.u8(0..10),
            self.random.u8(0..10),
            self.random.u8(0..10),
            self.random.u8(0..10)
        )
    }

    fn quantity(&mut self) -> &'static str {
        self.one_of(&[
            "1", "2500m", "100m", "1Gi", "1.5Gi", "128Mi", "1000000", "12k", "0.1", "3e3", "0", "1Ei", "7u",
            "1500m",
        ])
    }

    fn labels(&mut self) -> Value {
        let mut labels = Map::new();
        for key in [
            "app",
            "team",
            "app.kubernetes.io/name",
            "fooBar",
            "a-b",
            "a.b",
            "a_b",
            "Tier1Size",
        ] {
            if self.random.u8(0..3) == 0 {
                labels.insert(key.to_owned(), self.one_of(&["", "web", "api-1", "x.y_z"]).into());
            }
        }
        labels.into()
    }

    fn add(&mut self, version: &str, kind: &str, name: &str, namespace: Option<&str>, rest: Value) {
        let mut object = json!({
            "apiVersion": version, "kind": kind,
            "metadata": {
                "name": name, "labels": self.labels(),
                "annotations": {"note": self.one_of(&["a \"quoted\" one", "back\\slash", "two\nlines", "ä"])},
            },
        });
        if let Some(namespace) = namespace {
            object["metadata"]["namespace"] = namespace.into();
        }
        if self.random.u8(0..4) == 0 && namespace.is_some() {
            object["metadata"]["ownerReferences"] = self.owners();
        }
        for (key, value) in rest.as_object().unwrap() {
            object[key] = value.clone();
        }
        self.objects.push(object);
    }

    fn owners(&mut self) -> Value {
        let mut owners = vec![json!({
            "apiVersion": "apps/v1", "kind": self.one_of(&["ReplicaSet", "Job", "Node", "DaemonSet"]), "name": "maker-1",
            "uid": "00000000-0000-4000-8000-000000000001", "controller": self.maybe(),
        })];
        if self.random.u8(0..4) == 0 {
            owners.push(json!({
                "apiVersion": "example.com/v1", "kind": "Shop", "name": "maker-2", "uid": "00000000-0000-4000-8000-000000000002",
            }));
        }
        owners.into()
    }

    fn conditions(&mut self, kinds: &[&str], reasons: &[&str]) -> Value {
        let mut conditions = Vec::new();
        for kind in kinds {
            if self.random.u8(0..3) > 0 {
                conditions.push(json!({
                    "type": kind, "status": self.one_of(&["True", "False", "Unknown"]), "reason": self.one_of(reasons),
                    "lastTransitionTime": self.time(), "message": "as it is",
                }));
            }
        }
        conditions.into()
    }

    fn amounts(&mut self, keys: &[&str]) -> Value {
        let mut amounts = Map::new();
        for key in keys {
            if self.maybe() {
                // Of these the API server takes whole numbers only.
                let is_whole = ["pods", "count/", "nvidia"]
                    .iter()
                    .any(|start| key.starts_with(start));
                let amount = match is_whole {
                    true => self.one_of(&["0", "3", "110", "12k"]),
                    false => self.quantity(),
                };
                amounts.insert((*key).to_owned(), amount.into());
            }
        }
        amounts.into()
    }

    fn places(&mut self) {
        for name in ["shop", "pay", "limits"] {
            self.add("v1", "Namespace", name, None, json!({}));
        }
        for number in 0..25 {
            let all = [
                "cpu",
                "memory",
                "pods",
                "ephemeral-storage",
                "hugepages-2Mi",
                "nvidia.com/gpu",
                "attachable-volumes-aws-ebs",
            ];
            let (capacity, allocatable) = (self.amounts(&all), self.amounts(&all));
            let conditions = self.conditions(
                &["Ready", "MemoryPressure", "DiskPressure", "Odd"],
                &["KubeletReady", "x"],
            );
            let taints = match self.random.u8(0..3) {
                0 => {
                    json!([{"key": "a", "value": "b", "effect": "NoSchedule"}, {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}])
                }
                _ => json!([]),
            };
            let info = json!({
                "kernelVersion": "6.1", "osImage": "Amazon Linux 2023", "containerRuntimeVersion": "containerd://2.1", "kubeletVersion": "v1.36.4",
                "kubeProxyVersion": "", "systemUUID": "ec2-1", "machineID": "", "bootID": "", "operatingSystem": "linux", "architecture": "amd64",
            });
            let rest = json!({
                "spec": {"providerID": format!("aws:///eu-west-1a/i-{number}"), "unschedulable": self.maybe(), "taints": taints},
                "status": {
                    "capacity": capacity, "allocatable": allocatable, "conditions": conditions, "nodeInfo": info,
                    "addresses": [{"type": "InternalIP", "address": format!("10.0.0.{number}")}, {"type": "Hostname", "address": format!("n{number}")},
                        {"type": "InternalIP", "address": format!("fd00::{number}")}],
                },
            });
            self.add("v1", "Node", &format!("node-{number}"), None, rest);
            if number % 5 == 0 {
                self.objects.last_mut().unwrap()["metadata"]["labels"]["node-role.kubernetes.io/infra"] =
                    "".into();
            }
        }
        for number in 0..8 {
            let all = [
                "requests.cpu",
                "limits.memory",
                "pods",
                "count/deployments.apps",
                "requests.storage",
            ];
            let hard = self.amounts(&all);
            let used = self.amounts(&all);
            let rest = json!({"spec": {"hard": hard}, "status": {"hard": hard, "used": used}});
            self.add(
                "v1",
                "ResourceQuota",
                &format!("quota-{number}"),
                Some("limits"),
                rest,
            );
        }
        for number in 0..4 {
            let rest = json!({"spec": {"limits": [
                {"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "10m"}, "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "maxLimitRequestRatio": {"cpu": "10"}},
                {"type": "Pod", "max": {"memory": "1Gi"}},
            ]}});
            // Where there are no pods that it would refuse.
            self.add(
                "v1",
                "LimitRange",
                &format!("range-{number}"),
                Some("limits"),
                rest,
            );
        }
        for number in 0..6 {
            let rest = json!({"automountServiceAccountToken": self.maybe(), "secrets": [{"name": "s"}], "imagePullSecrets": [{"name": "p"}]});
            self.add(
                "v1",
                "ServiceAccount",
                &format!("account-{number}"),
                Some("shop"),
                rest,
            );
            self.add(
                "v1",
                "ConfigMap",
                &format!("map-{number}"),
                Some("shop"),
                json!({"data": {"a": "b"}}),
            );
            let rest = json!({"spec": {"holderIdentity": format!("me-{number}"), "renewTime": format!("2026-11-0{}T00:00:00.123456Z", number + 1)}});
            self.add(
                "coordination.k8s.io/v1",
                "Lease",
                &format!("lease-{number}"),
                Some("pay"),
                rest,
            );
        }
    }

    fn container_status(&mut self, name: &str) -> Value {
        let terminated = json!({
            "reason": self.one_of(&["OOMKilled", "Error", "Completed", "Evicted"]), "exitCode": self.random.u8(0..200),
            "startedAt": self.time(), "finishedAt": self.time(), "containerID": "containerd://old",
        });
        let state = match self.random.u8(0..4) {
            0 => {
                json!({"waiting": {"reason": self.one_of(&["CrashLoopBackOff", "ImagePullBackOff", "ContainerCreating"])}})
            }
            1 => json!({"terminated": terminated}),
            _ => json!({"running": {"startedAt": self.time()}}),
        };
        let last = match self.maybe() {
            true => json!({"terminated": terminated}),
            false => json!({}),
        };
        json!({
            "name": name, "image": "lab.local/a:1", "imageID": "sha256:1", "containerID": format!("containerd://{name}"), "ready": self.maybe(),
            "restartCount": self.random.u8(0..9), "state": state, "lastState": last,
        })
    }

    fn pods(&mut self) {
        for number in 0..130 {
            let resources = [
                "cpu",
                "memory",
                "ephemeral-storage",
                "hugepages-2Mi",
                "nvidia.com/gpu",
            ];
            let limits: BTreeMap<&str, &str> = resources
                .into_iter()
                .filter(|_| self.random.bool())
                .map(|key| {
                    let amount = match key {
                        "cpu" => ["500m", "2", "0.1", "1m"][number % 4],
                        "nvidia.com/gpu" => "2",
                        "hugepages-2Mi" => "4Mi",
                        _ => ["1Gi", "128Mi", "1.5Gi", "1000000"][number % 4],
                    };
                    (key, amount)
                })
                .collect();
            // Huge pages are not had without CPU or memory.
            let limits = match limits.contains_key("cpu") {
                true => json!(limits),
                false => json!({"cpu": "1"}),
            };
            let mut containers = vec![
                json!({"name": "app", "image": "lab.local/app:1", "resources": {"limits": limits, "requests": limits}}),
            ];
            if self.maybe() {
                containers.push(json!({"name": "side", "image": "lab.local/side:1"}));
            }
            let volumes = match self.random.u8(0..3) {
                0 => {
                    json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data", "readOnly": self.maybe()}}, {"name": "e", "emptyDir": {}}])
                }
                1 => {
                    json!([{"name": "t", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}}])
                }
                _ => json!([]),
            };
            let tolerations = match self.maybe() {
                true => json!([
                    {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                    {"key": "b", "operator": "Equal", "value": "c", "effect": "NoSchedule"},
                    {"key": "b", "operator": "Equal", "value": "c", "effect": "NoSchedule"},
                ]),
                false => json!([]),
            };
            let mut spec = json!({
                "containers": containers, "volumes": volumes, "tolerations": tolerations, "restartPolicy": self.one_of(&["Always", "Never", "OnFailure"]),
                "hostNetwork": self.random.u8(0..5) == 0, "serviceAccountName": self.one_of(&["default", "shop"]),
            });
            if self.maybe() {
                spec["nodeName"] = format!("node-{}", self.random.u8(0..25)).into();
            }
            if self.random.u8(0..3) == 0 {
                spec["initContainers"] = json!([
                    {"name": "first", "image": "lab.local/i:1", "resources": {"requests": {"cpu": "10m"}}},
                    {"name": "always", "image": "lab.local/j:1", "restartPolicy": "Always", "resources": {"limits": {"memory": "64Mi"}}},
                ]);
            }
            let names: Vec<String> = spec["containers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["name"].as_str().unwrap().to_owned())
                .collect();
            let inits: Vec<String> = spec["initContainers"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|one| one["name"].as_str().unwrap().to_owned())
                .collect();
            let statuses: Vec<Value> = names.iter().map(|name| self.container_status(name)).collect();
            let init_statuses: Vec<Value> = inits.iter().map(|name| self.container_status(name)).collect();
            let mut status = json!({
                "phase": self.one_of(&["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
                "conditions": self.conditions(&["Ready", "PodScheduled", "Initialized", "ContainersReady", "DisruptionTarget"],
                    &["Unschedulable", "SchedulingGated", "EvictionByEvictionAPI", "Other"]),
                "qosClass": self.one_of(&["BestEffort", "Burstable", "Guaranteed"]),
                "containerStatuses": statuses, "initContainerStatuses": init_statuses,
            });
            if self.maybe() {
                status["podIP"] = format!("10.1.0.{number}").into();
                status["podIPs"] =
                    json!([{"ip": format!("10.1.0.{number}")}, {"ip": format!("fd00::{number}")}]);
                status["hostIP"] = "10.0.0.1".into();
                status["hostIPs"] = json!([{"ip": "10.0.0.1"}]);
                status["startTime"] = self.time().into();
            }
            if self.random.u8(0..4) == 0 {
                status["reason"] = self.one_of(&["Evicted", "NodeLost", "Strange"]).into();
            }
            // Its class is what its resources make it; the API server takes no other.
            status.as_object_mut().unwrap().remove("qosClass");
            let namespace = NAMESPACES[number % 3];
            self.add(
                "v1",
                "Pod",
                &format!("pod-{number}"),
                Some(namespace),
                json!({"spec": spec, "status": status}),
            );
        }
    }

    fn template(&mut self) -> Value {
        json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a", "image": "lab.local/a:1"}]}})
    }

    fn workloads(&mut self) {
        let selector = json!({"matchLabels": {"app": "a"}});
        for number in 0..20 {
            let (template, namespace) = (self.template(), Some(NAMESPACES[number % 3]));
            let n = |zoo: &mut Self| zoo.random.u8(0..9);
            let strategy = match self.random.u8(0..3) {
                0 => json!({"type": "Recreate"}),
                1 => {
                    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "34%"}})
                }
                _ => json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}}),
            };
            let conditions = self.conditions(
                &["Available", "Progressing", "ReplicaFailure"],
                &[
                    "ProgressDeadlineExceeded",
                    "NewReplicaSetAvailable",
                    "FailedCreate",
                ],
            );
            let replicas = n(self);
            let rest = json!({
                "spec": {"replicas": replicas, "selector": selector, "template": template, "strategy": strategy, "paused": self.maybe()},
                "status": {"replicas": 9, "readyReplicas": 5, "availableReplicas": 4, "unavailableReplicas": n(self), "updatedReplicas": n(self),
                    "observedGeneration": 1, "conditions": conditions},
            });
            self.add(
                "apps/v1",
                "Deployment",
                &format!("deployment-{number}"),
                namespace,
                rest,
            );
            let rest = json!({
                "spec": {"replicas": n(self), "selector": selector, "template": template},
                "status": {"replicas": 9, "readyReplicas": 3, "fullyLabeledReplicas": 8, "observedGeneration": 1},
            });
            self.add("apps/v1", "ReplicaSet", &format!("set-{number}"), namespace, rest);
            let rest = json!({
                "spec": {"replicas": n(self), "selector": selector, "template": template, "serviceName": "s",
                    "persistentVolumeClaimRetentionPolicy": {"whenDeleted": self.one_of(&["Retain", "Delete"]), "whenScaled": "Retain"},
                    "ordinals": {"start": n(self)}},
                "status": {"replicas": 8, "readyReplicas": 3, "availableReplicas": 2, "currentReplicas": n(self).min(8), "updatedReplicas": 1, "observedGeneration": 1,
                    "currentRevision": "r-1", "updateRevision": self.one_of(&["r-1", "r-2"])},
            });
            self.add(
                "apps/v1",
                "StatefulSet",
                &format!("stateful-{number}"),
                namespace,
                rest,
            );
            let rest = json!({
                "spec": {"selector": selector, "template": template},
                "status": {"currentNumberScheduled": n(self), "desiredNumberScheduled": n(self), "numberAvailable": n(self), "numberMisscheduled": n(self),
                    "numberReady": n(self), "numberUnavailable": n(self), "updatedNumberScheduled": n(self), "observedGeneration": 1},
            });
            self.add(
                "apps/v1",
                "DaemonSet",
                &format!("daemons-{number}"),
                namespace,
                rest,
            );
        }
        for number in 0..4 {
            let template = self.template();
            let rest = json!({"spec": {"replicas": number, "selector": {"app": "a"}, "template": template},
                "status": {"replicas": 9, "readyReplicas": 2, "availableReplicas": 1, "fullyLabeledReplicas": 4, "observedGeneration": 1}});
            self.add(
                "v1",
                "ReplicationController",
                &format!("controller-{number}"),
                Some("shop"),
                rest,
            );
        }
    }

    fn jobs(&mut self) {
        for number in 0..24 {
            let pod = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "lab.local/a:1"}]}});
            let mut status = json!({"active": 0, "succeeded": self.random.u8(0..3), "failed": 0, "startTime": "2026-11-01T00:00:00Z"});
            match self.random.u8(0..4) {
                0 => status["active"] = 1.into(),
                1 => {
                    status["succeeded"] = 1.into();
                    status["completionTime"] = "2026-11-01T01:00:00Z".into();
                    status["conditions"] = json!([
                        {"type": "SuccessCriteriaMet", "status": "True", "lastTransitionTime": "2026-11-01T01:00:00Z"},
                        {"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-01T01:00:00Z"},
                    ]);
                }
                2 => {
                    status["failed"] = 3.into();
                    status["conditions"] = json!([
                        {"type": "FailureTarget", "status": "True", "reason": "x", "lastTransitionTime": "2026-11-01T01:00:00Z"},
                        {"type": "Failed", "status": "True", "reason": self.one_of(&["BackoffLimitExceeded", "DeadlineExceeded", "PodFailurePolicy"]),
                            "lastTransitionTime": "2026-11-01T01:00:00Z"},
                    ]);
                }
                _ => {
                    status["failed"] = 2.into();
                    status["active"] = 1.into();
                }
            }
            let mut spec = json!({"template": pod});
            if self.maybe() {
                spec["parallelism"] = 3.into();
                spec["activeDeadlineSeconds"] = 600.into();
            }
            if self.maybe() {
                spec["completions"] = 3.into();
            }
            self.add(
                "batch/v1",
                "Job",
                &format!("job-{number}"),
                Some(NAMESPACES[number % 3]),
                json!({"spec": spec, "status": status}),
            );
        }
        for number in 0..15 {
            let job = json!({"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "lab.local/a:1"}]}}}});
            let mut spec = json!({"schedule": self.one_of(&["*/5 * * * *", "@daily", "0 3 * * 1-5"]), "jobTemplate": job,
                "concurrencyPolicy": self.one_of(&["Allow", "Forbid", "Replace"]), "suspend": self.maybe()});
            if self.maybe() {
                spec["timeZone"] = "Europe/Berlin".into();
                spec["startingDeadlineSeconds"] = 60.into();
            }
            let mut status = json!({});
            if self.maybe() {
                status = json!({"lastScheduleTime": self.time(), "lastSuccessfulTime": self.time(), "active": [{"kind": "Job", "name": "a"}, {"kind": "Job", "name": "b"}]});
            }
            self.add(
                "batch/v1",
                "CronJob",
                &format!("cron-{number}"),
                Some(NAMESPACES[number % 3]),
                json!({"spec": spec, "status": status}),
            );
        }
    }

    fn scaling(&mut self) {
        for number in 0..20 {
            let metrics = json!([
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
                {"type": "ContainerResource", "containerResource": {"name": "memory", "container": "app", "target": {"type": "AverageValue", "averageValue": "500Mi"}}},
                {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "1500m"}}},
                {"type": "External", "external": {"metric": {"name": "lag"}, "target": {"type": "Value", "value": "30"}}},
                {"type": "Object", "object": {"metric": {"name": "depth"}, "describedObject": {"kind": "Service", "name": "q"}, "target": {"type": "Value", "value": "2k"}}},
            ]);
            let current = json!([
                {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 71, "averageValue": "355m"}}},
                {"type": "External", "external": {"metric": {"name": "lag"}, "current": {"value": "31"}}},
            ]);
            let mut spec = json!({"maxReplicas": 10, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "metrics": metrics});
            if self.maybe() {
                spec["minReplicas"] = 3.into();
            }
            let conditions = self.conditions(
                &["AbleToScale", "ScalingLimited", "ScalingActive"],
                &["TooManyReplicas", "ReadyForNewScale"],
            );
            let status = json!({"currentReplicas": self.random.u8(0..11), "desiredReplicas": self.random.u8(0..11), "currentMetrics": current, "conditions": conditions});
            let namespace = Some(NAMESPACES[number % 3]);
            self.add(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                &format!("scaler-{number}"),
                namespace,
                json!({"spec": spec, "status": status}),
            );
        }
        for number in 0..10 {
            let status = json!({"currentHealthy": self.random.u8(0..5), "desiredHealthy": 2, "disruptionsAllowed": self.random.u8(0..3), "expectedPods": 3, "observedGeneration": 1});
            let rest = json!({"spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}}, "status": status});
            self.add(
                "policy/v1",
                "PodDisruptionBudget",
                &format!("budget-{number}"),
                Some(NAMESPACES[number % 3]),
                rest,
            );
        }
    }

    fn storage(&mut self) {
        let sources = [
            json!({"csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1", "volumeAttributes": {"mounter": "m"}}}),
            json!({"nfs": {"server": "nfs.local", "path": "/a"}}),
            json!({"hostPath": {"path": "/data", "type": "Directory"}}),
            json!({"iscsi": {"targetPortal": "10.0.0.1:3260", "iqn": "iqn.2026-01.com.example:x", "lun": 0, "initiatorName": "iqn.2026-01.com.example:i"}}),
            json!({"fc": {"targetWWNs": ["50060e801049cfd1", "50060e801049cfd2"], "lun": 3}}),
            json!({"local": {"path": "/mnt/a", "fsType": "xfs"}}),
        ];
        for number in 0..24 {
            let mut spec = sources[number % sources.len()].clone();
            spec["capacity"] = json!({"storage": self.one_of(&["10Gi", "1Ti", "1.5Gi"])});
            spec["accessModes"] = json!(["ReadWriteOnce", "ReadOnlyMany"]);
            spec["persistentVolumeReclaimPolicy"] = self.one_of(&["Retain", "Delete"]).into();
            if spec.get("hostPath").is_some() || spec.get("nfs").is_some() {
                spec["persistentVolumeReclaimPolicy"] = "Retain".into();
            }
            spec["storageClassName"] = self.one_of(&["gp3", ""]).into();
            if self.maybe() {
                spec["claimRef"] = json!({"name": "data", "namespace": "shop"});
            }
            if spec.get("local").is_some() {
                spec["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}});
            }
            let status =
                json!({"phase": self.one_of(&["Pending", "Available", "Bound", "Released", "Failed"])});
            self.add(
                "v1",
                "PersistentVolume",
                &format!("volume-{number}"),
                None,
                json!({"spec": spec, "status": status}),
            );
            let mut spec =
                json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}});
            if self.maybe() {
                spec["storageClassName"] = "gp3".into();
                spec["volumeName"] = format!("volume-{number}").into();
            }
            let conditions = self.conditions(&["Resizing", "FileSystemResizePending"], &["x"]);
            let status =
                json!({"phase": self.one_of(&["Lost", "Bound", "Pending"]), "conditions": conditions});
            self.add(
                "v1",
                "PersistentVolumeClaim",
                &format!("claim-{number}"),
                Some(NAMESPACES[number % 3]),
                json!({"spec": spec, "status": status}),
            );
        }
        for number in 0..5 {
            let mut rest = json!({"provisioner": "ebs.csi.aws.com"});
            if self.maybe() {
                rest["volumeBindingMode"] = "WaitForFirstConsumer".into();
                rest["reclaimPolicy"] = "Retain".into();
            }
            self.add(
                "storage.k8s.io/v1",
                "StorageClass",
                &format!("class-{number}"),
                None,
                rest,
            );
            let rest = json!({"spec": {"attacher": "ebs.csi.aws.com", "nodeName": "node-1", "source": {"persistentVolumeName": format!("volume-{number}")}},
                "status": {"attached": self.maybe(), "attachmentMetadata": {"devicePath": "/dev/xvda"}}});
            self.add(
                "storage.k8s.io/v1",
                "VolumeAttachment",
                &format!("attachment-{number}"),
                None,
                rest,
            );
        }
    }

    fn network(&mut self) {
        for number in 0..15 {
            let namespace = Some(NAMESPACES[number % 3]);
            let spec = match self.random.u8(0..4) {
                0 => json!({"type": "ExternalName", "externalName": "db.example.com"}),
                1 => {
                    json!({"type": "LoadBalancer", "ports": [{"port": 80}], "externalTrafficPolicy": "Local"})
                }
                2 => json!({"clusterIP": "None", "ports": [{"port": 80}]}),
                _ => json!({"ports": [{"port": 80}], "externalIPs": ["1.2.3.4", "1.2.3.5"]}),
            };
            let mut status = json!({});
            if spec["type"] == "LoadBalancer" {
                status = json!({"loadBalancer": {"ingress": [{"hostname": "a.elb.amazonaws.com"}, {"ip": "5.6.7.8"}]}});
            }
            self.add(
                "v1",
                "Service",
                &format!("service-{number}"),
                namespace,
                json!({"spec": spec, "status": status}),
            );
            let backend = match self.maybe() {
                true => json!({"service": {"name": "web", "port": {"number": 80}}}),
                false => json!({"resource": {"apiGroup": "example.com", "kind": "Bucket", "name": "b"}}),
            };
            let named = json!({"service": {"name": "api", "port": {"name": "http"}}});
            let mut spec = json!({"rules": [
                {"host": "a.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}, {"path": "/api", "pathType": "Exact", "backend": named}]}},
                {"host": "b.example.com"},
            ]});
            if self.maybe() {
                spec["ingressClassName"] = "alb".into();
            }
            if self.maybe() {
                spec["tls"] = json!([{"hosts": ["a.example.com", "b.example.com"], "secretName": "cert"}]);
            }
            self.add(
                "networking.k8s.io/v1",
                "Ingress",
                &format!("ingress-{number}"),
                namespace,
                json!({"spec": spec}),
            );
        }
        for number in 0..6 {
            let spec = json!({"podSelector": {}, "ingress": [{}, {}], "egress": [{}]});
            self.add(
                "networking.k8s.io/v1",
                "NetworkPolicy",
                &format!("policy-{number}"),
                Some("pay"),
                json!({"spec": spec}),
            );
            let rest = json!({"subsets": [{"addresses": [{"ip": "10.1.1.1"}], "notReadyAddresses": [{"ip": "10.1.1.2"}], "ports": [{"name": "http", "port": 80}, {"name": "m", "port": 9}]}]});
            self.add(
                "v1",
                "Endpoints",
                &format!("endpoints-{number}"),
                Some("pay"),
                rest,
            );
            let rest = match number {
                0 => json!({"addressType": "IPv4", "endpoints": [], "ports": []}),
                _ => {
                    json!({"addressType": "IPv4", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}, {"port": 9}], "endpoints": [
                        {"addresses": ["10.1.1.1"], "conditions": {"ready": self.maybe(), "serving": true, "terminating": false}, "nodeName": "node-1", "zone": "eu-west-1a",
                            "targetRef": {"kind": "Pod", "name": "pod-1", "namespace": "shop"}, "hints": {"forZones": [{"name": "eu-west-1a"}]}},
                        {"addresses": ["10.1.1.2"], "hostname": "h"},
                    ]})
                }
            };
            self.add(
                "discovery.k8s.io/v1",
                "EndpointSlice",
                &format!("slice-{number}"),
                Some("pay"),
                rest,
            );
        }
    }
}
