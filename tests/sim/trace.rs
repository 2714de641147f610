//! What rooms write to their own log, among the lines of the run: with `SKOPOS_SIM_TRACE=1`, for one seed.

use std::fmt::{Debug, Write};
use std::sync::{Arc, LazyLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::world::Log;

/// Whether it was asked for.
pub fn is_on() -> bool {
    static ON: LazyLock<bool> = LazyLock::new(|| std::env::var_os("SKOPOS_SIM_TRACE").is_some());
    *ON
}

pub struct Trace(pub Arc<Log>);

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let named = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        named.expect("text grows");
    }
}

impl Subscriber for Trace {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut words = Words(String::new());
        event.record(&mut words);
        let target = event.metadata().target();
        self.0.say(|| format!("  {target}:{}", words.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
