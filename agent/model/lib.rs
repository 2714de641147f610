//! The words all rooms share: labels, samples, questions, alerts, log records, views, time.
//!
//! Nothing here does I/O, awaits or reads a clock; what touches the outside is a trait that the hall fills.

pub mod alert;
pub mod ask;
pub mod change;
pub mod checkup;
pub mod column;
pub mod complaint;
pub mod discovery;
pub mod evidence;
pub mod exemplar;
pub mod explanation;
pub mod feed;
pub mod histogram;
pub mod labels;
pub mod late;
pub mod leader;
pub mod ledger;
pub mod mail;
pub mod matcher;
pub mod note;
pub mod objects;
pub mod outside;
pub mod pods;
pub mod presence;
pub mod record;
pub mod report;
pub mod sample;
pub mod select;
pub mod selection;
pub mod share;
pub mod signature;
pub mod tail;
pub mod text;
pub mod time;
pub mod view;
pub mod way;

pub use alert::{AlertEvent, AlertState};
pub use ask::{Answer, Ask, AskError, Point};
pub use change::{Change, ChangeKind};
pub use column::{Column, Histograms, Keep, KeepError, Round, SeriesDesc, SeriesRef, TargetDesc, TargetRef};
pub use complaint::Complaint;
pub use evidence::{Evidence, Findings, Inquiry, Overloaded, Trend};
pub use exemplar::{Exemplar, Exemplars, NoExemplar};
pub use feed::{Describe, Fed, Feed};
pub use histogram::Histogram;
pub use labels::{Labels, LabelsBuilder};
pub use leader::{Arbiter, ArbiterError, Leadership, Lease, Memo, Revision};
pub use ledger::Ledger;
pub use matcher::{MatchOp, Matcher};
pub use note::{KeepNotes, Note, NotePlace};
pub use objects::{Object, Observe, Resource, Wanted};
pub use pods::{Owner, Pod, Pods};
pub use presence::{AllHere, Presence, Silence, Silent};
pub use record::{Level, LogRecord};
pub use report::{Report, Said};
pub use sample::{Kind, STALE, Sample, Value, is_stale};
pub use select::{Metadata, Mixed, Select, SelectError, Series, TimeRange};
pub use selection::Selection;
pub use share::{Alone, Share};
pub use signature::SigV4;
pub use tail::{NodeAddress, Tail, TailQuery, Unheard};
pub use time::{Clock, Timestamp};

/// A future that may cross threads; what the contracts below return instead of being tied to one runtime.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
