//! Kinds that others want, each with one watch for all of them: lists that come in a stream where the API server can do that, and
//! in pages where it cannot.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, DynamicResourceScope, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource as Described};
use model::{Object, Observe, Resource, Wanted};
use parking_lot::Mutex;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::warn;

use crate::follow::{Change, Ended, Keep, WATCH_SECONDS, Watched, follow_changes};
use crate::{Cluster, JITTER, Right, Scope};

/// Objects of one answer of a list. Of pods that is about 3 MB.
const PAGE: u32 = 500;
/// After so long without a good answer about a kind, what is known of it is in doubt.
const DOUBT: Duration = Duration::from_secs(300);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(15);
/// Until a kind that is refused, or is not there, is asked for again.
const REST: Duration = Duration::from_secs(30);

/// How often in a row an API server has said that it has no such kind.
#[derive(Default)]
pub(crate) struct Absence(u32);

impl Absence {
    /// So often before it is believed: a server that starts may say it of kinds that it is about to have.
    const TIMES: u32 = 10;
    const NOT_FOUND: u16 = 404;

    /// With what it says now; true once.
    pub(crate) fn is_believed(&mut self, code: u16) -> bool {
        match code {
            Self::NOT_FOUND => self.0 = self.0.saturating_add(1),
            _ => self.0 = 0,
        }
        self.0 == Self::TIMES
    }
}

/// An object of any kind: where it is, and its text.
#[derive(Clone)]
pub(crate) struct Raw {
    metadata: ObjectMeta,
    text: Arc<str>,
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raw")
            .field("name", &self.metadata.name)
            .finish_non_exhaustive()
    }
}

impl Raw {
    fn with<T>(&self, look: impl FnOnce(&Object<'_>) -> T) -> T {
        let meta = &self.metadata;
        look(&Object {
            namespace: meta.namespace.as_deref().unwrap_or_default(),
            name: meta.name.as_deref().unwrap_or_default(),
            uid: meta.uid.as_deref().unwrap_or_default(),
            text: &self.text,
        })
    }
}

/// What a watch needs to know of every object, whatever it is.
#[derive(Deserialize)]
struct Head {
    metadata: Meta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

/// On the bookmark that ends a list which comes in a stream.
const INITIAL_END: &str = "k8s.io/initial-events-end";

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: Box<RawValue> = Deserialize::deserialize(deserializer)?;
        let head: Head = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        let mut annotations = head.metadata.annotations;
        if let Some(all) = &mut annotations {
            all.retain(|key, _| key == INITIAL_END);
        }
        Ok(Self {
            metadata: ObjectMeta {
                name: head.metadata.name,
                namespace: head.metadata.namespace,
                uid: head.metadata.uid,
                resource_version: head.metadata.resource_version,
                annotations: annotations.filter(|all| !all.is_empty()),
                ..ObjectMeta::default()
            },
            text: text.get().into(),
        })
    }
}

impl Described for Raw {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(dynamic: &ApiResource) -> Cow<'_, str> {
        dynamic.kind.as_str().into()
    }

    fn group(dynamic: &ApiResource) -> Cow<'_, str> {
        dynamic.group.as_str().into()
    }

    fn version(dynamic: &ApiResource) -> Cow<'_, str> {
        dynamic.version.as_str().into()
    }

    fn plural(dynamic: &ApiResource) -> Cow<'_, str> {
        dynamic.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// All who want the same.
pub(crate) struct Party {
    pub(crate) wanted: Wanted,
    pub(crate) watched: Arc<Watched>,
    pub(crate) observers: Vec<Box<dyn Observe>>,
}

/// Passes on what is watched.
struct Fan<'a> {
    cluster: &'a Cluster,
    plural: &'a str,
    observers: &'a mut [Box<dyn Observe>],
    /// Names that were told of, so that the count is right; nothing else of an object is kept.
    here: HashMap<String, u64>,
    round: u64,
    /// Told of before, so that there is something to doubt.
    is_told: bool,
    is_doubtful: bool,
    next_look: Instant,
}

impl Keep<Raw> for Fan<'_> {
    fn take(&mut self, change: Change<Raw>, _: Instant) {
        match change {
            Change::Begun => {
                self.round += 1;
                self.each(|observer| observer.begun());
            }
            Change::Listed(raw) | Change::Here(raw) => {
                self.here.insert(key(&raw), self.round);
                raw.with(|object| self.each(|observer| observer.here(object)));
            }
            Change::Gone(raw) => {
                self.here.remove(&key(&raw));
                raw.with(|object| self.each(|observer| observer.gone(object)));
            }
            Change::Whole => {
                self.here.retain(|_, round| *round == self.round);
                self.is_told = true;
                self.each(|observer| observer.whole());
            }
        }
    }

    fn due(&self) -> Option<Instant> {
        Some(self.next_look)
    }

    fn tell(&mut self, now: Instant) {
        self.next_look = now + LOOK;
        let inner = &self.cluster.0;
        let heard = inner.heard.last(self.plural);
        let age = heard.map_or(Duration::MAX, |heard| inner.clock.now().since(heard));
        let is_doubtful = self.is_told && age > DOUBT;
        if is_doubtful != self.is_doubtful {
            self.is_doubtful = is_doubtful;
            if is_doubtful {
                warn!(
                    resource = self.plural,
                    "nothing heard for minutes: what is known is in doubt"
                );
            }
            self.each(|observer| observer.doubtful(is_doubtful));
        }
    }

    fn count(&self) -> usize {
        self.here.len()
    }

    fn wants_all(&mut self) -> bool {
        self.observers.iter_mut().any(|observer| observer.wants_all())
    }
}

impl Fan<'_> {
    fn each(&mut self, mut tell: impl FnMut(&mut dyn Observe)) {
        for observer in self.observers.iter_mut() {
            tell(&mut **observer);
        }
    }
}

fn key(raw: &Raw) -> String {
    raw.with(|object| format!("{}/{}", object.namespace, object.name))
}

/// Doctor knows of a watch while there is one, and of the rights that it takes.
struct Shown<'a> {
    cluster: &'a Cluster,
    watched: Arc<Watched>,
    plural: Arc<str>,
    rights: [Right; 2],
}

impl<'a> Shown<'a> {
    fn new(cluster: &'a Cluster, watched: &Arc<Watched>, resource: &Resource) -> Self {
        cluster.0.kinds.lock().push(Arc::clone(watched));
        let purpose = "kubernetes_sd_configs find no targets by these objects";
        let rights =
            ["list", "watch"].map(|verb| Right::new(verb, &resource.group, &resource.plural, purpose));
        rights.iter().for_each(|right| cluster.want(right.clone()));
        Self {
            cluster,
            watched: Arc::clone(watched),
            plural: Arc::clone(&resource.plural),
            rights,
        }
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        let inner = &self.cluster.0;
        let mut kinds = inner.kinds.lock();
        kinds.retain(|known| !Arc::ptr_eq(known, &self.watched));
        let is_watched = |resource: &str| kinds.iter().any(|known| known.resource() == resource);
        if is_watched(self.watched.resource()) {
            return;
        }
        inner.metrics.forget(self.watched.resource());
        self.rights.iter().for_each(|right| inner.rights.leave(right));
        let is_ours = inner.scope == Scope::Node && inner.watched.resource() == &*self.plural;
        // Otherwise an old answer would look like silence.
        if !is_ours && !is_watched(&self.plural) {
            inner.heard.forget(&self.plural);
        }
    }
}

/// Stands before the name of a kind that is watched for `kubernetes_sd_configs`.
const DISCOVERY: &str = "discovery/";

/// What API servers that cannot stream a list call what they do not know.
const STREAM_OPTION: &str = "sendInitialEvents";

impl Cluster {
    /// All objects of a kind, for as long as this room runs; to be said before that.
    pub fn observe(&self, wanted: Wanted, observer: Box<dyn Observe>) {
        let mut parties = self.0.parties.lock();
        if let Some(party) = parties.iter_mut().find(|party| party.wanted == wanted) {
            party.observers.push(observer);
            return;
        }
        self.0.heard.learn(&wanted.resource.plural);
        for verb in ["list", "watch"] {
            let resource = &wanted.resource;
            self.want(Right::new(
                verb,
                &resource.group,
                &resource.plural,
                "nothing is known of these objects",
            ));
        }
        let watched = self
            .0
            .metrics
            .watched(&wanted.resource.plural, wanted.is_optional);
        self.0.kinds.lock().push(Arc::clone(&watched));
        parties.push(Party {
            wanted,
            watched,
            observers: vec![observer],
        });
    }

    /// All objects of a kind, for as long as this is waited for. Its watch is its own.
    pub(crate) async fn follow(&self, wanted: Wanted, observer: Box<dyn Observe>) {
        let inner = &self.0;
        if inner.scope == Scope::Node {
            tokio::time::sleep(JITTER.mul_f64(fastrand::f64())).await;
        }
        let plural = Arc::clone(&wanted.resource.plural);
        inner.heard.learn(&plural);
        // Beside the watch of a room for the same kind, which sees others of them.
        let watched = inner
            .metrics
            .watched(&format!("{DISCOVERY}{plural}"), wanted.is_optional);
        let _shown = Shown::new(self, &watched, &wanted.resource);
        let party = Party {
            wanted,
            watched,
            observers: vec![observer],
        };
        self.follow_party(party).await;
    }

    pub(crate) async fn follow_parties(&self) {
        let parties = std::mem::take(&mut *self.0.parties.lock());
        let watching = parties.into_iter().map(|party| self.follow_party(party));
        futures_util::future::join_all(watching).await;
    }

    async fn follow_party(&self, mut party: Party) {
        let plural = Arc::clone(&party.wanted.resource.plural);
        let mut fan = Fan {
            cluster: self,
            plural: &plural,
            observers: &mut party.observers,
            here: HashMap::new(),
            round: 0,
            is_told: false,
            is_doubtful: false,
            next_look: Instant::now() + LOOK,
        };
        let (mut is_streamed, mut absence) = (true, Absence::default());
        loop {
            let changes = self.changes(&party.wanted, is_streamed);
            let began = Instant::now();
            let ended = follow_changes(changes, &party.watched, &mut fan).await;
            if began.elapsed() > REST {
                // It was there until now.
                absence = Absence::default();
            }
            match ended {
                Ended::Refused(status) if is_streamed && status.message.contains(STREAM_OPTION) => {
                    is_streamed = false;
                    continue;
                }
                Ended::Refused(status) => {
                    if party.wanted.is_optional && absence.is_believed(status.code) {
                        // The kind itself has been taken away, and its objects with it.
                        fan.here.clear();
                        fan.each(|observer| observer.begun());
                        fan.each(|observer| observer.whole());
                    }
                }
                Ended::Asked => {
                    absence = Absence::default();
                    continue;
                }
                Ended::Failed => {
                    absence = Absence::default();
                    self.connect_anew().await;
                }
            }
            let rest = tokio::time::sleep(REST);
            tokio::pin!(rest);
            loop {
                let look = fan.next_look;
                tokio::select! {
                    () = &mut rest => break,
                    () = tokio::time::sleep_until(look) => fan.tell(Instant::now()),
                }
            }
        }
    }

    fn changes(&self, wanted: &Wanted, is_streamed: bool) -> BoxStream<'static, watcher::Result<Event<Raw>>> {
        let resource = &wanted.resource;
        let described = ApiResource {
            group: resource.group.to_string(),
            version: resource.version.to_string(),
            api_version: match resource.group.as_ref() {
                "" => resource.version.to_string(),
                group => format!("{group}/{}", resource.version),
            },
            kind: resource.kind.to_string(),
            plural: resource.plural.to_string(),
        };
        let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
        config = match is_streamed {
            true => config.streaming_lists(),
            false => config.page_size(PAGE),
        };
        if !wanted.field_selector.is_empty() {
            config = config.fields(&wanted.field_selector);
        }
        if !wanted.label_selector.is_empty() {
            config = config.labels(&wanted.label_selector);
        }
        let client = self.0.client();
        if wanted.is_metadata {
            let api: Api<PartialObjectMeta<Raw>> = Api::all_with(client, &described);
            let changes = watcher(api, config).default_backoff();
            return changes.map(|change| change.map(whole)).boxed();
        }
        let api: Api<Raw> = Api::all_with(client, &described);
        watcher(api, config).default_backoff().boxed()
    }
}

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Metadata as an object that has nothing else.
fn whole(event: Event<PartialObjectMeta<Raw>>) -> Event<Raw> {
    let raw = |mut object: PartialObjectMeta<Raw>| {
        object.metadata.managed_fields = None;
        if let Some(annotations) = &mut object.metadata.annotations {
            // It holds the content all the same.
            annotations.remove(LAST_APPLIED);
        }
        let text = serde_json::json!({ "metadata": object.metadata }).to_string();
        Raw {
            metadata: ObjectMeta {
                annotations: None,
                labels: None,
                ..object.metadata
            },
            text: text.into(),
        }
    };
    match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(object) => Event::InitApply(raw(object)),
        Event::Apply(object) => Event::Apply(raw(object)),
        Event::Delete(object) => Event::Delete(raw(object)),
    }
}

/// Those who wait for a kind, until the room runs.
pub(crate) type Parties = Mutex<Vec<Party>>;
