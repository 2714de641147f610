//! Labels in the making, under the names that Prometheus gives them.

use model::{Labels, LabelsBuilder};

use super::lean::Meta;

pub(super) const PREFIX: &str = "__meta_kubernetes_";

/// Labels of one target, or of what several have in common. Those that are empty are left out in the end.
#[derive(Default)]
pub(super) struct Meant(LabelsBuilder);

impl Meant {
    /// What is told later stands.
    pub(super) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.0.set(&format!("{PREFIX}{name}"), value);
        self
    }

    pub(super) fn set_some(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.set(name, value);
        }
        self
    }

    pub(super) fn plain(&mut self, name: &str, value: &str) -> &mut Self {
        self.0.set(name, value);
        self
    }

    pub(super) fn address(&mut self, host: &str, port: Option<u32>) -> &mut Self {
        let address = match port {
            Some(port) if host.contains(':') => format!("[{host}]:{port}"),
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        self.plain("__address__", &address)
    }

    /// Name, labels and annotations of an object.
    pub(super) fn object(&mut self, role: &str, meta: &Meta) -> &mut Self {
        self.set(&format!("{role}_name"), &meta.name);
        self.described(role, meta)
    }

    /// Its labels and annotations alone.
    pub(super) fn described(&mut self, role: &str, meta: &Meta) -> &mut Self {
        for (what, pairs) in [("label", &meta.labels), ("annotation", &meta.annotations)] {
            for (name, value) in pairs {
                let name = legal(name);
                self.set(&format!("{role}_{what}_{name}"), value);
                self.set(&format!("{role}_{what}present_{name}"), "true");
            }
        }
        self
    }

    pub(super) fn done(self) -> Labels {
        self.0.build()
    }
}

/// The name with a `_` for each letter that no label's name may have.
pub(super) fn legal(name: &str) -> String {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    name.chars()
        .map(|letter| if legal(letter) { letter } else { '_' })
        .collect()
}
