//! Volumes, claims, classes and attachments.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::draft::Draft;
use crate::meta::{Condition, Meta, Whole, conditions, named, phases, put_pairs};
use crate::quantity;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VolumeSpec {
    storage_class_name: String,
    persistent_volume_reclaim_policy: String,
    volume_mode: Option<String>,
    access_modes: Vec<String>,
    capacity: BTreeMap<String, String>,
    claim_ref: Option<ClaimRef>,
    gce_persistent_disk: Option<Source>,
    aws_elastic_block_store: Option<Source>,
    azure_disk: Option<Source>,
    fc: Option<Source>,
    iscsi: Option<Source>,
    nfs: Option<Source>,
    csi: Option<Source>,
    local: Option<Source>,
    host_path: Option<Source>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClaimRef {
    name: String,
    namespace: String,
}

/// Where the bytes lie; of each kind of volume some of these.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Source {
    pd_name: String,
    #[serde(rename = "volumeID")]
    volume_id: String,
    disk_name: String,
    #[serde(rename = "targetWWNs")]
    target_wwns: Vec<String>,
    wwids: Vec<String>,
    lun: Option<i64>,
    target_portal: String,
    iqn: String,
    initiator_name: String,
    server: String,
    path: String,
    driver: String,
    volume_handle: String,
    fs_type: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct VolumeStatus {
    phase: String,
}

pub(super) fn volume(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<VolumeSpec, VolumeStatus> {
        metadata,
        spec,
        status,
    } = serde_json::from_str(text)?;
    draft.of(metadata.alone("persistentvolume"));
    if let Some(claim) = &spec.claim_ref {
        let labels = [
            ("name", claim.name.as_str()),
            ("claim_namespace", &claim.namespace),
        ];
        draft.gauge("kube_persistentvolume_claim_ref", "Who has it.", &labels, 1.0);
    }
    metadata.words(
        draft,
        "kube_persistentvolume_labels",
        "kube_persistentvolume_annotations",
    );
    draft.some(
        "kube_persistentvolume_created",
        "When it was made.",
        metadata.created(),
    );
    draft.some(
        "kube_persistentvolume_deletion_timestamp",
        "When it is to be gone.",
        metadata.deleted(),
    );
    phases(
        draft,
        "kube_persistentvolume_status_phase",
        "Whether somebody has it.",
        "phase",
        &["Pending", "Available", "Bound", "Released", "Failed"],
        &status.phase,
    );
    volume_info(draft, &spec);
    draft.gauge(
        "kube_persistentvolume_capacity_bytes",
        "How large it is.",
        &[],
        spec.capacity
            .get("storage")
            .and_then(|text| quantity::whole(text))
            .unwrap_or(0.0),
    );
    if let Some(mode) = &spec.volume_mode {
        let labels = [("volumemode", mode.as_str())];
        draft.gauge(
            "kube_persistentvolume_volume_mode",
            "Files or a bare device.",
            &labels,
            1.0,
        );
    }
    for mode in &spec.access_modes {
        let labels = [("access_mode", mode.as_str())];
        draft.gauge(
            "kube_persistentvolume_access_mode",
            "Who may use it at once.",
            &labels,
            1.0,
        );
    }
    Ok(())
}

fn volume_info(draft: &mut Draft<'_>, spec: &VolumeSpec) {
    // One of them is told where somebody has set several, always the same one.
    let kinds = [
        ("gce", &spec.gce_persistent_disk),
        ("ebs", &spec.aws_elastic_block_store),
        ("azure", &spec.azure_disk),
        ("fc", &spec.fc),
        ("iscsi", &spec.iscsi),
        ("nfs", &spec.nfs),
        ("csi", &spec.csi),
        ("local", &spec.local),
        ("host", &spec.host_path),
    ];
    let found = kinds
        .into_iter()
        .find_map(|(kind, source)| Some((kind, source.as_ref()?)));
    let nothing = Source::default();
    let (kind, source) = found.unwrap_or(("", &nothing));
    let of = |wanted: &str, text: &str| match kind == wanted {
        true => text.to_owned(),
        false => String::new(),
    };
    let lun = |wanted: &str, fallback: Option<i64>| {
        let lun = source.lun.or(fallback).map(|lun| lun.to_string());
        of(wanted, &lun.unwrap_or_default())
    };
    let labels = [
        ("storageclass", spec.storage_class_name.clone()),
        ("gce_persistent_disk_name", of("gce", &source.pd_name)),
        ("ebs_volume_id", of("ebs", &source.volume_id)),
        ("azure_disk_name", of("azure", &source.disk_name)),
        ("fc_wwids", of("fc", &source.wwids.join(","))),
        ("fc_lun", lun("fc", None)),
        ("fc_target_wwns", of("fc", &source.target_wwns.join(","))),
        ("iscsi_target_portal", of("iscsi", &source.target_portal)),
        ("iscsi_iqn", of("iscsi", &source.iqn)),
        ("iscsi_lun", lun("iscsi", Some(0))),
        ("iscsi_initiator_name", of("iscsi", &source.initiator_name)),
        ("nfs_server", of("nfs", &source.server)),
        ("nfs_path", of("nfs", &source.path)),
        ("csi_driver", of("csi", &source.driver)),
        ("csi_volume_handle", of("csi", &source.volume_handle)),
        ("local_path", of("local", &source.path)),
        ("local_fs", of("local", &source.fs_type)),
        ("host_path", of("host", &source.path)),
        ("host_path_type", of("host", &source.kind)),
        ("reclaim_policy", spec.persistent_volume_reclaim_policy.clone()),
    ];
    let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (*key, value.as_str())).collect();
    draft.gauge("kube_persistentvolume_info", "What it is made of.", &labels, 1.0);
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClaimSpec {
    storage_class_name: String,
    volume_name: String,
    volume_mode: String,
    access_modes: Vec<String>,
    resources: Resources,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resources {
    requests: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClaimStatus {
    phase: String,
    conditions: Vec<Condition>,
}

/// Where classes of claims were told once.
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

pub(super) fn claim(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<ClaimSpec, ClaimStatus> {
        metadata,
        spec,
        status,
    } = serde_json::from_str(text)?;
    draft.of(metadata.within("persistentvolumeclaim"));
    metadata.words(
        draft,
        "kube_persistentvolumeclaim_labels",
        "kube_persistentvolumeclaim_annotations",
    );
    let labels = [
        (
            "storageclass",
            metadata
                .annotations
                .get(CLASS)
                .unwrap_or(&spec.storage_class_name)
                .as_str(),
        ),
        ("volumename", &spec.volume_name),
        ("volumemode", &spec.volume_mode),
    ];
    draft.gauge(
        "kube_persistentvolumeclaim_info",
        "What is claimed.",
        &labels,
        1.0,
    );
    phases(
        draft,
        "kube_persistentvolumeclaim_status_phase",
        "Whether there is a volume for it.",
        "phase",
        &["Lost", "Bound", "Pending"],
        &status.phase,
    );
    draft.some(
        "kube_persistentvolumeclaim_resource_requests_storage_bytes",
        "How much is claimed.",
        spec.resources
            .requests
            .get("storage")
            .and_then(|text| quantity::whole(text)),
    );
    for mode in &spec.access_modes {
        let labels = [("access_mode", mode.as_str())];
        draft.gauge(
            "kube_persistentvolumeclaim_access_mode",
            "Who may use it at once.",
            &labels,
            1.0,
        );
    }
    conditions(
        draft,
        "kube_persistentvolumeclaim_status_condition",
        &status.conditions,
    );
    draft.some(
        "kube_persistentvolumeclaim_created",
        "When it was made.",
        metadata.created(),
    );
    draft.some(
        "kube_persistentvolumeclaim_deletion_timestamp",
        "When it is to be gone.",
        metadata.deleted(),
    );
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Class {
    metadata: Meta,
    #[serde(default)]
    provisioner: String,
    reclaim_policy: Option<String>,
    volume_binding_mode: Option<String>,
}

pub(super) fn class(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let class: Class = serde_json::from_str(text)?;
    draft.of(class.metadata.alone("storageclass"));
    let labels = [
        ("provisioner", class.provisioner.as_str()),
        (
            "reclaim_policy",
            class.reclaim_policy.as_deref().unwrap_or("Delete"),
        ),
        (
            "volume_binding_mode",
            class.volume_binding_mode.as_deref().unwrap_or("Immediate"),
        ),
    ];
    draft.gauge("kube_storageclass_info", "How volumes are made.", &labels, 1.0);
    draft.some(
        "kube_storageclass_created",
        "When it was made.",
        class.metadata.created(),
    );
    class
        .metadata
        .words(draft, "kube_storageclass_labels", "kube_storageclass_annotations");
    Ok(())
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AttachmentSpec {
    attacher: String,
    node_name: String,
    source: AttachmentSource,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AttachmentSource {
    persistent_volume_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AttachmentStatus {
    attached: bool,
    attachment_metadata: BTreeMap<String, String>,
}

pub(super) fn attachment(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<AttachmentSpec, AttachmentStatus> {
        metadata,
        spec,
        status,
    } = serde_json::from_str(text)?;
    draft.of(metadata.alone("volumeattachment"));
    let labels = [("attacher", spec.attacher.as_str()), ("node", &spec.node_name)];
    draft.gauge(
        "kube_volumeattachment_info",
        "Which node has a volume.",
        &labels,
        1.0,
    );
    draft.some(
        "kube_volumeattachment_created",
        "When it was made.",
        metadata.created(),
    );
    let pairs = |prefix: &str, all: &BTreeMap<String, String>| {
        let all = all.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        named(prefix, &all.collect())
    };
    let words = pairs("label", &metadata.labels);
    put_pairs(
        draft,
        "kube_volumeattachment_labels",
        "Labels of the object.",
        &words,
    );
    if let Some(volume) = &spec.source.persistent_volume_name {
        let labels = [("volumename", volume.as_str())];
        draft.gauge(
            "kube_volumeattachment_spec_source_persistentvolume",
            "Which volume it is.",
            &labels,
            1.0,
        );
    }
    draft.gauge(
        "kube_volumeattachment_status_attached",
        "Whether it is there.",
        &[],
        f64::from(status.attached),
    );
    let words = pairs("metadata", &status.attachment_metadata);
    put_pairs(
        draft,
        "kube_volumeattachment_status_attachment_metadata",
        "What its driver says of it.",
        &words,
    );
    Ok(())
}
