//! All objects of one kind, as they are now.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Object, Observe};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::lean::{Endpoints, Ingress, Meta, Named, Node, Pod, Service, Slice};

/// An object of which something becomes a label.
#[derive(Debug)]
pub(super) enum Thing {
    Pod(Pod),
    Node(Node),
    Service(Service),
    Endpoints(Endpoints),
    Slice(Slice),
    Ingress(Ingress),
    /// A namespace, or who owns what owns a pod.
    Named(Named),
}

impl Thing {
    pub(super) fn meta(&self) -> &Meta {
        match self {
            Self::Pod(of) => &of.metadata,
            Self::Node(of) => &of.metadata,
            Self::Service(of) => &of.metadata,
            Self::Endpoints(of) => &of.metadata,
            Self::Slice(of) => &of.metadata,
            Self::Ingress(of) => &of.metadata,
            Self::Named(of) => &of.metadata,
        }
    }

    pub(super) fn read(kind: &str, text: &str) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            "Pod" => Self::Pod(serde_json::from_str(text)?),
            "Node" => Self::Node(serde_json::from_str(text)?),
            "Service" => Self::Service(serde_json::from_str(text)?),
            "Endpoints" => Self::Endpoints(serde_json::from_str(text)?),
            "EndpointSlice" => Self::Slice(serde_json::from_str(text)?),
            "Ingress" => Self::Ingress(serde_json::from_str(text)?),
            _ => Self::Named(serde_json::from_str(text)?),
        })
    }
}

/// By namespace and name.
pub(super) type Objects = BTreeMap<(String, String), Arc<Thing>>;

pub(super) struct Stock {
    kind: Arc<str>,
    state: Mutex<State>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    /// Shared with whoever looks at it.
    objects: Arc<Objects>,
    /// While they are listed.
    listed: Option<Objects>,
    is_whole: bool,
}

impl Stock {
    pub(super) fn new(kind: &Arc<str>, changed: Arc<Notify>) -> Self {
        Self {
            kind: Arc::clone(kind),
            state: Mutex::default(),
            changed,
        }
    }

    pub(super) fn observer(self: Arc<Self>) -> Box<dyn Observe> {
        Box::new(Keeper(self))
    }

    pub(super) fn objects(&self) -> Arc<Objects> {
        Arc::clone(&self.state.lock().objects)
    }

    /// Whether all of them have been told of once.
    pub(super) fn is_whole(&self) -> bool {
        self.state.lock().is_whole
    }
}

struct Keeper(Arc<Stock>);

fn key(object: &Object<'_>) -> (String, String) {
    (object.namespace.to_owned(), object.name.to_owned())
}

impl Observe for Keeper {
    fn begun(&mut self) {
        self.0.state.lock().listed = Some(Objects::new());
    }

    fn here(&mut self, object: &Object<'_>) {
        let thing = match Thing::read(&self.0.kind, object.text) {
            Ok(thing) => Arc::new(thing),
            Err(error) => {
                let (namespace, name) = (object.namespace, object.name);
                tracing::warn!(kind = &*self.0.kind, namespace, name, %error, "an object cannot be read");
                return;
            }
        };
        let mut state = self.0.state.lock();
        let state = &mut *state;
        match &mut state.listed {
            Some(listed) => {
                listed.insert(key(object), thing);
            }
            None => {
                Arc::make_mut(&mut state.objects).insert(key(object), thing);
                self.0.changed.notify_one();
            }
        }
    }

    fn gone(&mut self, object: &Object<'_>) {
        let mut state = self.0.state.lock();
        Arc::make_mut(&mut state.objects).remove(&key(object));
        self.0.changed.notify_one();
    }

    fn whole(&mut self) {
        let mut state = self.0.state.lock();
        if let Some(listed) = state.listed.take() {
            state.objects = Arc::new(listed);
        }
        state.is_whole = true;
        self.0.changed.notify_one();
    }
}
