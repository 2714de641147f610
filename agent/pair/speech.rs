//! Who tells people: the holder of the lease; and while nobody can say who that is, one who is alive. Pure.

use std::time::Duration;

/// All that it depends on, as one replica sees it.
#[derive(Clone, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) lease_duration: Duration,
    pub(crate) renew_deadline: Duration,
    pub(crate) out_of_step_after: Duration,
    pub(crate) name: &'a str,
    /// None until it has been heard for the first time.
    pub(crate) peer: Option<&'a str>,
    /// Who was the last to hold the lease, as far as either has heard.
    pub(crate) last_holder: Option<&'a str>,
    /// We hold the lease and may act on it; and for how long we have held it.
    pub(crate) here: bool,
    pub(crate) held_for: Duration,
    /// Age of the last time that the arbiter could tell who holds the lease; none before the first.
    pub(crate) looked_ago: Option<Duration>,
    /// What it told: somebody else.
    pub(crate) other_holds: bool,
    /// Time since the start, or since this process was found to have stood still.
    pub(crate) up_for: Duration,
    /// Since when no heartbeat has been heard.
    pub(crate) heard_ago: Option<Duration>,
    /// What the last heartbeat said.
    pub(crate) peer_holds: bool,
    pub(crate) peer_speaks: bool,
    /// For how long neither has spoken, as far as we know.
    pub(crate) quiet_for: Duration,
    /// Whether we do.
    pub(crate) speaking: bool,
    /// The other gets the time to lead.
    pub(crate) yields: bool,
}

pub(crate) fn speaks(scene: &Scene<'_>) -> bool {
    let heard_within = |limit: Duration| scene.heard_ago.is_some_and(|ago| ago < limit);
    let looked_ago = scene.looked_ago.unwrap_or(scene.up_for);
    let away = looked_ago >= scene.renew_deadline;
    // Where nobody can say who leads, it could not take over.
    if scene.yields && !away {
        return false;
    }
    if scene.here {
        // Whoever spoke until now gets the time of a heartbeat to learn who leads.
        let handing_over = heard_within(scene.out_of_step_after)
            && scene.peer_speaks
            && scene.held_for < scene.out_of_step_after;
        return scene.speaking || !handing_over;
    }
    let heard = heard_within(scene.lease_duration);
    if (scene.other_holds && !away) || (heard && scene.peer_holds) {
        return false;
    }
    // After a start nothing is known of the world: neither who holds the lease nor who speaks.
    if scene.looked_ago.is_none() && scene.up_for < scene.lease_duration {
        return false;
    }
    if !heard {
        return scene.speaking || (away && scene.up_for >= scene.lease_duration);
    }
    match (scene.speaking, scene.peer_speaks) {
        (true, false) => true,
        (false, true) => false,
        // It returns to one that took its place, and follows it.
        (true, true) => is_first(scene, false),
        (false, false) => {
            let is_quiet = |times: u32| scene.quiet_for >= scene.lease_duration * times;
            away && looked_ago >= scene.lease_duration
                && is_quiet(1)
                // Whoever should begin may be unable to; silence is worse than two voices, of which one then stops.
                && (is_first(scene, true) || is_quiet(3))
        }
    }
}

/// Which of two that could both speak does: the last holder or just not that one; if neither was, the lower name.
fn is_first(scene: &Scene<'_>, last_holder_first: bool) -> bool {
    let peer = scene.peer.unwrap_or_default();
    match scene.last_holder {
        Some(last) if last == scene.name => last_holder_first,
        Some(last) if last == peer => !last_holder_first,
        _ => scene.name < peer,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn scene() -> Scene<'static> {
        Scene {
            lease_duration: seconds(10),
            renew_deadline: seconds(7),
            out_of_step_after: seconds(2),
            name: "a",
            peer: Some("b"),
            last_holder: Some("a"),
            here: false,
            held_for: seconds(0),
            looked_ago: Some(seconds(1)),
            other_holds: false,
            up_for: seconds(1000),
            heard_ago: Some(seconds(0)),
            peer_holds: false,
            peer_speaks: false,
            quiet_for: seconds(0),
            speaking: false,
            yields: false,
        }
    }

    #[test]
    fn who_lets_the_other_lead_is_quiet_but_not_while_nobody_can_say_who_leads() {
        let scene = Scene {
            here: true,
            speaking: true,
            yields: true,
            heard_ago: None,
            ..scene()
        };
        assert!(!speaks(&scene));
        assert!(speaks(&Scene {
            here: false,
            looked_ago: Some(seconds(20)),
            ..scene
        }));
    }

    #[test]
    fn the_holder_speaks_and_who_sees_another_hold_does_not() {
        assert!(speaks(&Scene {
            here: true,
            ..scene()
        }));
        assert!(!speaks(&Scene {
            other_holds: true,
            speaking: true,
            ..scene()
        }));
        assert!(!speaks(&Scene {
            peer_holds: true,
            speaking: true,
            ..scene()
        }));
    }

    #[test]
    fn the_last_holder_goes_on_while_the_arbiter_is_away() {
        for heard_ago in [None, Some(seconds(0)), Some(seconds(3600))] {
            let scene = Scene {
                looked_ago: Some(seconds(1800)),
                speaking: true,
                heard_ago,
                ..scene()
            };
            assert!(speaks(&scene), "{scene:?}");
        }
    }

    #[test]
    fn who_has_heard_no_heartbeat_for_a_lease_speaks_too_but_not_while_the_arbiter_names_the_holder() {
        let unheard = |ago, looked_ago| Scene {
            name: "b",
            peer: Some("a"),
            looked_ago: Some(seconds(looked_ago)),
            other_holds: true,
            peer_speaks: true,
            heard_ago: Some(seconds(ago)),
            ..scene()
        };
        assert!(!speaks(&unheard(9, 1800)));
        assert!(speaks(&unheard(10, 1800)));
        assert!(!speaks(&unheard(1800, 6)));
    }

    #[test]
    fn after_a_start_nobody_speaks_before_a_look_or_a_lease_of_waiting() {
        let fresh = |up_for, heard_ago| Scene {
            looked_ago: None,
            up_for: seconds(up_for),
            quiet_for: seconds(up_for),
            heard_ago,
            ..scene()
        };
        assert!(!speaks(&fresh(9, None)));
        assert!(speaks(&fresh(10, None)));
        assert!(!speaks(&fresh(9, Some(seconds(0)))));
        assert!(speaks(&fresh(10, Some(seconds(0)))));
    }

    #[test]
    fn a_new_holder_lets_the_one_who_speaks_hear_of_it() {
        let new = |held_for| Scene {
            here: true,
            peer_speaks: true,
            held_for: Duration::from_millis(held_for),
            ..scene()
        };
        assert!(!speaks(&new(1_999)));
        assert!(speaks(&new(2_000)));
        assert!(speaks(&Scene {
            peer_speaks: false,
            ..new(0)
        }));
    }

    /// Two replicas that hear each other well, of whom neither has the arbiter.
    fn both(last: Option<&'static str>, quiet_for: u64, a: bool, b: bool) -> [Scene<'static>; 2] {
        let one = |name, peer, speaking, peer_speaks| Scene {
            name,
            peer: Some(peer),
            last_holder: last,
            looked_ago: Some(seconds(1800)),
            other_holds: last == Some(peer),
            quiet_for: seconds(quiet_for),
            speaking,
            peer_speaks,
            ..scene()
        };
        [one("a", "b", a, b), one("b", "a", b, a)]
    }

    proptest! {
        #[test]
        fn of_two_that_hear_each_other_exactly_one_goes_on(
            last in prop_oneof![Just(None), Just(Some("a")), Just(Some("b")), Just(Some("c"))],
            a in any::<bool>(),
            b in any::<bool>(),
            quiet_for in 10u64..29,
        ) {
            let scenes = both(last, quiet_for, a, b);
            let speaking: Vec<bool> = scenes.iter().map(speaks).collect();
            prop_assert_eq!(speaking.iter().filter(|speaks| **speaks).count(), 1, "{:?}", scenes);
            if a != b {
                prop_assert_eq!(speaking, vec![a, b], "who speaks goes on");
            } else if let Some(last) = last.filter(|last| *last != "c") {
                // The last holder begins; but where both speak it has returned to one who acts.
                prop_assert_eq!(speaking[usize::from(last == "b")], !a);
            }
        }

        #[test]
        fn silence_ends_whoever_should_have_begun(quiet_for in 30u64..1000, last in any::<bool>()) {
            let scenes = both(Some(if last { "a" } else { "b" }), quiet_for, false, false);
            prop_assert!(scenes.iter().all(speaks));
        }
    }
}
