//! What nobody wants to hear of: alerts that a silence covers, or another alert makes plain, are not told as firing.
//!
//! Whoever was told before is told the end all the same, and that it still fires once the silence is over,
//! if the configuration does not say otherwise.

use model::Timestamp;

use super::Core;
use crate::alert::Alert;

impl Core {
    pub(super) fn notice_silences(&mut self, now: Timestamp) {
        let is_stirred = std::mem::take(&mut self.is_stirred);
        if self.quiet.look(now, self.speaks) || is_stirred {
            self.silence_all(now);
        }
    }

    pub(super) fn silence_all(&mut self, now: Timestamp) {
        let alerts = self.groups.values().flat_map(|group| group.alerts.values());
        self.inhibitions.look(alerts);
        for (key, group) in &mut self.groups {
            let firing = group.alerts.values().filter(|alert| alert.firing());
            let is_covered =
                |alert: &Alert| self.quiet.covers(&alert.labels) || self.inhibitions.mute(&alert.labels);
            let covered = firing.map(|alert| (alert.fingerprint, is_covered(alert)));
            let covered: Vec<(u64, bool)> = covered.collect();
            let mut is_louder = false;
            for (fingerprint, is_silenced) in &covered {
                let is_changed = group.silence(*fingerprint, *is_silenced);
                is_louder |= is_changed && !is_silenced;
            }
            // The next tick may be minutes away.
            if is_louder && group.first_flush.is_some() {
                let due = group.end_due(now);
                group.resolve_due = Some(group.resolve_due.map_or(due, |known| known.min(due)));
            }
            if !group.timing().tells_after_silence {
                continue;
            }
            for (lane, delivered) in self.lanes.iter().zip(&mut group.delivered) {
                let silenced = covered.iter().filter(|(_, is_silenced)| *is_silenced);
                let hushed = silenced.filter(|(fingerprint, _)| delivered.hush(*fingerprint));
                if hushed.count() > 0 {
                    self.records.told(lane.name(), key, delivered);
                }
            }
        }
    }
}
