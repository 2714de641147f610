//! What `skopos doctor` is told of the server: whether those who call are served.

use model::view::Checkup;
use prometheus::Registry;

use crate::Rooms;

const ROOM: &str = "web";

/// What all rooms say, and the server; with `live` the receivers are asked as well.
///
/// # Errors
/// Why nobody could look.
pub(crate) async fn looked(rooms: &Rooms, live: bool) -> Result<Vec<Checkup>, String> {
    let mut checks = (rooms.doctor)(live).await?;
    checks.extend(checkups(&rooms.registry));
    Ok(checks)
}

/// What there is to say of the server that counts in this registry.
fn checkups(registry: &Registry) -> Vec<Checkup> {
    let mut refused = Vec::new();
    let mut open = 0.0;
    for family in registry.gather() {
        match family.name() {
            "skopos_web_connections" => {
                open = family
                    .get_metric()
                    .iter()
                    .map(|one| one.get_gauge().get_value())
                    .sum();
            }
            "skopos_web_connections_refused_total" => {
                for metric in family.get_metric() {
                    let reason = metric.get_label().iter().find(|label| label.name() == "reason");
                    let reason = reason.map_or("?", |label| label.value());
                    refused.push((reason.to_owned(), metric.get_counter().get_value() as u64));
                }
            }
            _ => {}
        }
    }
    vec![connections(open as u64, &refused)]
}

fn connections(open: u64, refused: &[(String, u64)]) -> Checkup {
    const NAME: &str = "connections";
    let refused: Vec<_> = refused.iter().filter(|(_, count)| *count > 0).collect();
    if refused.is_empty() {
        return Checkup::ok(ROOM, NAME, format!("{open} are open, and nobody was turned away"));
    }
    let count: u64 = refused.iter().map(|(_, count)| count).sum();
    Checkup::warn(
        ROOM,
        NAME,
        format!("{count} were closed without being served since the start"),
    )
    .advise("for too many at once raise web.connections_max; for handshakes see the certificates of web.tls")
    .list(refused.iter().map(|(reason, count)| format!("{reason}: {count}")))
}

#[cfg(test)]
mod tests {
    use model::view::Verdict;

    use super::*;
    use crate::measure::Measure;

    #[test]
    fn whoever_is_turned_away_is_counted() {
        let registry = Registry::new();
        let measure = Measure::new(&registry);
        measure.connections.set(3.0);
        assert_eq!(checkups(&registry)[0].verdict, Verdict::Ok);
        assert!(checkups(&registry)[0].seen.starts_with("3 are open"));
        measure.refused.with_label_values(&["full"]).inc_by(2);
        let told = &checkups(&registry)[0];
        assert_eq!(
            (told.verdict, told.findings.as_slice()),
            (Verdict::Warn, &["full: 2".to_owned()][..])
        );
    }
}
