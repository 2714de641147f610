//! What rules have come to is made durable, and told to the notifier.

use std::time::Duration;

use model::Timestamp;
use parking_lot::Mutex;

use crate::alert::Alert;
use crate::state::RuleState;
use crate::world::World;

/// State is durable before anybody is told of it, so that a crash in between repeats and never forgets. `interval` is
/// how often this is done.
pub(crate) async fn publish(world: &World, states: &[Mutex<RuleState>], interval: Duration, at: Timestamp) {
    let due = due(world, states, at);
    let changes = states.iter().flat_map(|state| state.lock().changes(at)).collect();
    if world.save(changes).await {
        states.iter().for_each(|state| state.lock().written(at));
    }
    let resend = world.options.config.resend_delay.max(interval);
    for (state, alert) in due {
        let mut state = state.lock();
        let told = world.tell(&alert, &state.generator_url, at + resend * 4);
        if !told && let Some(alert) = state.all_mut().find(|known| known.labels == alert.labels) {
            alert.last_sent_at = None;
            alert.written_at = None;
        }
    }
}

/// The alerts to be told, marked as sent at `at`.
fn due<'s>(
    world: &World,
    states: &'s [Mutex<RuleState>],
    at: Timestamp,
) -> Vec<(&'s Mutex<RuleState>, Alert)> {
    let resend_delay = world.options.config.resend_delay;
    let mut due = Vec::new();
    for state in states {
        for alert in state
            .lock()
            .all_mut()
            .filter(|alert| alert.is_due(at, resend_delay))
        {
            alert.last_sent_at = Some(at);
            alert.written_at = None;
            due.push((state, alert.clone()));
        }
    }
    due
}
