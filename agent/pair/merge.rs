//! Firing if either says so; resolved when all that hear the sender agree. Pure.

use std::time::Duration;

use model::{AlertEvent, AlertState};

/// The last that one replica said of an alert.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Word {
    pub(crate) event: AlertEvent,
    /// Running time here when it was last said.
    pub(crate) heard_at: Duration,
    /// Running time here when it first said this state; zero where it fires and never knew.
    pub(crate) since: Duration,
    /// How long it promised to be silent at most, while it fires.
    pub(crate) life: Duration,
}

impl Word {
    pub(crate) fn fires(&self) -> bool {
        self.event.state == AlertState::Firing
    }

    /// Whether an evaluation stands behind it that is not too old.
    fn is_evidence(&self, now: Duration) -> bool {
        self.event.known && (!self.fires() || now < self.heard_at + self.life)
    }
}

/// What both together say, or nothing where it stays as it `was`. A word without evidence neither fires nor resolves
/// anything, and nor does the peer's while it does not count; but as long as nothing is known, what fired fires on.
pub(crate) fn judge(
    own: Option<&Word>,
    peer: Option<&Word>,
    peer_counts: bool,
    was: Option<AlertState>,
    now: Duration,
) -> Option<AlertEvent> {
    let words = || own.into_iter().chain(peer);
    let counting = || own.into_iter().chain(peer.filter(|_| peer_counts));
    let evidence = || counting().filter(|word| word.is_evidence(now));
    let begun = words()
        .filter(|word| word.fires())
        .map(|word| word.event.starts_at)
        .min();
    let as_firing = |word: &Word, known: bool| AlertEvent {
        starts_at: begun.unwrap_or(word.event.starts_at),
        known,
        ..word.event.clone()
    };
    if let Some(word) = evidence().find(|word| word.fires()) {
        return Some(as_firing(word, true));
    }
    // A resolve from before the other began to fire is about another time, and says nothing of this one.
    let begun_here = words().filter(|word| word.fires()).map(|word| word.since).max();
    let resolved = evidence().filter(|word| begun_here.is_none_or(|begun| word.since >= begun));
    if let Some(word) = resolved.max_by_key(|word| word.event.ends_at) {
        return Some(word.event.clone());
    }
    if was == Some(AlertState::Resolved) {
        return None;
    }
    let firing = words()
        .filter(|word| word.fires())
        .max_by_key(|word| word.heard_at)?;
    Some(as_firing(firing, false))
}

#[cfg(test)]
mod tests {
    use model::{Labels, Timestamp};
    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(1000);
    const LIFE: Duration = Duration::from_secs(300);

    fn word(fires: bool, known: bool, since: u64, heard_at: u64) -> Word {
        let labels = Labels::from_pairs([("alertname", "A")]);
        Word {
            event: AlertEvent {
                fingerprint: labels.fingerprint(),
                labels,
                annotations: Labels::empty(),
                state: if fires {
                    AlertState::Firing
                } else {
                    AlertState::Resolved
                },
                active_at: Timestamp(0),
                starts_at: Timestamp(i64::try_from(since).unwrap()),
                ends_at: Timestamp(0),
                value: 0.0,
                generator_url: String::new(),
                epoch: 1,
                known,
            },
            heard_at: Duration::from_secs(heard_at),
            since: Duration::from_secs(since),
            life: LIFE,
        }
    }

    /// `F`iring and `R`esolved, small where nothing is known.
    fn say(letter: char) -> Option<Word> {
        match letter {
            'F' => Some(word(true, true, 500, 990)),
            'f' => Some(word(true, false, 500, 990)),
            'R' => Some(word(false, true, 900, 990)),
            'r' => Some(word(false, false, 900, 990)),
            // Not said again for longer than promised.
            'x' => Some(word(true, true, 500, 600)),
            // Resolved before the other began.
            'o' => Some(word(false, true, 400, 990)),
            _ => None,
        }
    }

    fn both(own: char, peer: char, peer_counts: bool, was: char) -> char {
        let was = match was {
            'F' => Some(AlertState::Firing),
            'R' => Some(AlertState::Resolved),
            _ => None,
        };
        match judge(say(own).as_ref(), say(peer).as_ref(), peer_counts, was, NOW) {
            Some(event) if event.state == AlertState::Firing && event.known => 'F',
            Some(event) if event.state == AlertState::Firing => 'f',
            Some(event) if event.known => 'R',
            Some(_) => 'r',
            None => '-',
        }
    }

    #[test]
    fn every_pair_of_words_says_what_it_must() {
        for (own, peer, counts, was, says) in [
            ('F', '-', true, '-', 'F'),
            ('F', 'R', true, 'F', 'F'),
            ('R', 'F', true, 'F', 'F'),
            ('R', 'R', true, 'F', 'R'),
            ('R', '-', true, 'F', 'R'),
            // Who is deaf has no say, whichever it is.
            ('f', 'R', true, 'F', 'R'),
            ('R', 'f', true, 'F', 'R'),
            ('f', 'F', true, 'F', 'F'),
            ('f', 'f', true, 'F', 'f'),
            ('r', 'F', true, 'F', 'F'),
            ('f', '-', true, '-', 'f'),
            ('f', '-', true, 'R', '-'),
            // A peer that is gone: what only it said goes on without evidence.
            ('-', 'F', false, 'F', 'f'),
            ('-', 'F', true, '-', 'F'),
            ('R', 'F', false, 'F', 'R'),
            ('o', 'F', false, 'F', 'f'),
            ('f', 'F', false, 'F', 'f'),
            ('f', 'R', false, 'F', 'f'),
            ('x', '-', true, 'F', 'f'),
            ('x', 'R', true, 'F', 'R'),
            ('r', 'r', true, 'F', '-'),
            ('-', '-', true, 'F', '-'),
        ] {
            let said = both(own, peer, counts, was);
            assert_eq!(said, says, "own {own}, peer {peer}, counts {counts}, was {was}");
        }
    }

    #[test]
    fn it_began_when_the_first_of_them_saw_it() {
        let (own, peer) = (word(true, true, 700, 990), word(true, true, 500, 990));
        let event = judge(Some(&own), Some(&peer), true, None, NOW).unwrap();
        assert_eq!(event.starts_at, Timestamp(500));
    }

    proptest! {
        #[test]
        fn nothing_resolves_while_one_that_hears_says_that_it_fires(
            own in prop::sample::select(vec!['F', 'f', 'R', 'r', 'x', 'o', '-']),
            peer in prop::sample::select(vec!['F', 'f', 'R', 'r', 'x', 'o', '-']),
            counts in any::<bool>(),
            was in prop::sample::select(vec!['F', 'R', '-']),
        ) {
            let said = both(own, peer, counts, was);
            if own == 'F' || (peer == 'F' && counts) {
                prop_assert_eq!(said, 'F');
            } else {
                prop_assert!(said != 'F', "nobody that hears says so");
                let agrees = "Ro".contains(own) || ("Ro".contains(peer) && counts);
                prop_assert!(said != 'R' || agrees, "a resolve needs a word with evidence");
            }
            prop_assert!(said != 'r');
        }
    }
}
