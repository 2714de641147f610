//! What must hold at the end of a run: what was true against what was told.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::faults::{Kind, Plan, REPLICAS};
use super::receivers::{Receiver, Told, state_of};
use super::truth::{Episode, SILENT, Subject, Trouble, subjects, troubles};
use super::world::{BASE, Blow, World, clock};

/// Longest way from a fact to a message when all is well: read, evaluated, waited for, handed over.
const LAG: Duration = Duration::from_secs(60);
/// What a storm adds: its message is written anew once a minute.
const STORM_PAUSE: Duration = Duration::from_secs(60);
/// What one trouble that the pair bears may add: another takes over, or all is as before.
const TAKE_OVER: Duration = Duration::from_secs(45);
/// After a trouble, until all is as before.
const GRACE: Duration = Duration::from_secs(60);

/// What a run has seen, for the summary.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub messages: usize,
    pub repeats: usize,
    pub incidents: usize,
    pub due: usize,
    pub blows: usize,
    pub samples: usize,
    pub storms: usize,
}

impl Seen {
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.repeats += other.repeats;
        self.incidents += other.incidents;
        self.due += other.due;
        self.blows += other.blows;
        self.samples += other.samples;
        self.storms += other.storms;
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            messages,
            repeats,
            incidents,
            due,
            blows,
            samples,
            storms,
        } = self;
        write!(
            f,
            "{messages} messages, {repeats} marked repeats, {incidents} incidents, {due} that had to be told, \
             {blows} kills and pauses, {samples} samples, {storms} messages of storms"
        )
    }
}

struct Check<'a> {
    world: &'a World,
    plan: &'a Plan,
    subjects: Vec<Subject>,
    troubles: Vec<Trouble>,
    /// [`LAG`], and what clocks that go wrong add to it.
    lag: Duration,
    wrong: Vec<String>,
    seen: Seen,
}

/// All that is wrong, a sentence each; and what was seen.
pub fn check(world: &World, plan: &Plan) -> (Vec<String>, Seen) {
    let pause = if world.around.has_storms {
        STORM_PAUSE
    } else {
        Duration::ZERO
    };
    let mut check = Check {
        world,
        plan,
        subjects: subjects(world),
        troubles: troubles(world, plan),
        lag: LAG + world.skew_most() * 2 + pause,
        wrong: world.wrong.clone(),
        seen: Seen {
            blows: world.blows.len(),
            incidents: world.pager.incidents().len(),
            ..Seen::default()
        },
    };
    for (name, receiver) in [("slack", &world.slack), ("pager", &world.pager)] {
        let all = receiver.told();
        let told: Vec<Told> = all.iter().filter(|told| !told.quiet).cloned().collect();
        check.seen.messages += told.len();
        check.seen.storms += told.iter().filter(|told| told.in_storm).count();
        let refused = receiver.refused().into_iter();
        check
            .wrong
            .extend(refused.map(|why| format!("{name} refused: {why}")));
        check.untold(name, &told);
        check.false_words(name, &all);
    }
    check.repeats("slack", &world.slack);
    check.incidents();
    check.samples();
    check.agreement();
    for (name, ledger) in world.ledgers() {
        if !ledger.balances() {
            let words = format!("{name}: the ledger does not balance: {ledger:?}");
            check.wrong.push(words);
        }
    }
    (check.wrong, check.seen)
}

impl Check<'_> {
    /// Every firing that lasted long enough was told, and at the end everybody knows how things stand.
    fn untold(&mut self, receiver: &str, told: &[Told]) {
        let states = state_of(told);
        let mut wrong = Vec::new();
        for subject in &self.subjects {
            let name = &subject.name;
            let says = |told: &Told| told.firing.contains(name) || told.resolved.contains(name);
            for episode in &subject.episodes {
                if !self.had_to_be_told(receiver, subject, episode) {
                    continue;
                }
                self.seen.due += 1;
                let until = episode.end(self.plan.end) + self.lag;
                let during = |told: &&Told| episode.from <= told.at && told.at <= until;
                let heard = told.iter().filter(during).any(|told| told.firing.contains(name));
                // One that was told before and never taken back is known already.
                let before = told.iter().rfind(|told| told.at < episode.from && says(told));
                if !heard && !before.is_some_and(|told| told.firing.contains(name)) {
                    wrong.push(format!(
                        "lost: {receiver} never heard of {name}, true from {} to {}",
                        clock(episode.from),
                        clock(episode.end(self.plan.end))
                    ));
                }
            }
            let due = subject.hold + self.lag;
            let last = subject.episodes.last().filter(|episode| episode.until.is_none());
            let fires = last.is_some_and(|episode| episode.due + due < self.plan.end);
            let said = states.get(name).copied().unwrap_or(false);
            if fires != said && !(said && self.nobody_remembers(subject, told)) {
                wrong.push(format!(
                    "lost: at the end {name} is {}, and {receiver} believes {}",
                    if fires { "firing" } else { "over" },
                    if said { "that it fires" } else { "that it does not" }
                ));
            }
        }
        self.wrong.extend(wrong);
    }

    /// Whether it lasted for long enough, with all that went on meanwhile.
    fn had_to_be_told(&self, receiver: &str, subject: &Subject, episode: &Episode) -> bool {
        let until = episode.end(self.plan.end);
        let concerns = self.troubles.iter().filter(|trouble| {
            let here = trouble.receiver.is_none_or(|whom| whom == receiver);
            let about = trouble
                .node
                .is_none_or(|node| subject.node.is_none_or(|own| own == node));
            here && about && trouble.from < until && episode.from < trouble.until + GRACE
        });
        let concerns: Vec<&Trouble> = concerns.collect();
        let apart = concerns
            .iter()
            .zip(concerns.iter().skip(1))
            .all(|(one, next)| one.until + GRACE < next.from);
        if apart && concerns.iter().all(|trouble| trouble.bearable) {
            let count = u32::try_from(concerns.len()).unwrap_or(u32::MAX);
            return until.saturating_sub(episode.due) >= subject.hold + self.lag + TAKE_OVER * count;
        }
        // Otherwise only what lay between the troubles counts.
        let (mut from, mut calm) = (episode.due, Duration::ZERO);
        for trouble in concerns {
            calm = calm.max(trouble.from.saturating_sub(from));
            from = from.max(trouble.until + GRACE);
        }
        calm.max(until.saturating_sub(from)) >= subject.hold + self.lag
    }

    /// All replicas lost all they knew while it was told as firing, and it was over before they could learn of it.
    fn nobody_remembers(&self, subject: &Subject, told: &[Told]) -> bool {
        let heard = told.iter().rfind(|told| told.firing.contains(&subject.name));
        let losses = self.world.blows.iter().filter(|blow| blow.all);
        heard.is_some_and(|heard| losses.clone().any(|loss| heard.at <= loss.at))
    }

    /// Nothing is said to be over that was true all the time, nothing to fire that was not.
    fn false_words(&mut self, receiver: &str, all: &[Told]) {
        let mut wrong = Vec::new();
        for told in all {
            for name in told.resolved.iter().chain(&told.firing) {
                let Some(subject) = self.subjects.iter().find(|subject| subject.name == *name) else {
                    wrong.push(format!("{receiver} heard of {name}, which there is not"));
                    continue;
                };
                let fires = told.firing.contains(name);
                // The end of an earlier time may be told while this one has not been told yet.
                let during = subject.episodes.iter().find(|episode| episode.covers(told.at));
                let known = |during: &&Episode| {
                    // An edit about a storm also says of others how they were told; what is news is in its reply.
                    let mut earlier = all.iter().filter(|said| {
                        let is_news = !(said.quiet && said.in_storm);
                        is_news && during.from <= said.at && said.at < told.at
                    });
                    earlier.any(|said| said.firing.contains(name))
                };
                if let Some(during) = during.filter(|_| !fires).filter(known) {
                    wrong.push(format!(
                        "false resolve: {receiver} heard at {} from {} that {name} is over, true since {}",
                        clock(told.at),
                        told.from,
                        clock(during.from)
                    ));
                }
                let lately = subject.episodes.iter().any(|episode| {
                    episode.from <= told.at && told.at <= episode.end(self.plan.end) + self.lag
                });
                if fires && !lately && !self.cannot_know(subject, told) && !self.is_kept(subject, told) {
                    wrong.push(format!(
                        "false alarm: {receiver} heard at {} from {} that {name} fires",
                        clock(told.at),
                        told.from
                    ));
                }
            }
        }
        self.wrong.extend(wrong);
    }

    /// Who hears neither a node nor the other replica, but others, can only say that the node is silent.
    fn cannot_know(&self, subject: &Subject, told: &Told) -> bool {
        let Some(node) = subject.node.filter(|_| subject.name.starts_with("AgentSilent")) else {
            return false;
        };
        let lately = |from: Duration, until: Duration| from <= told.at && told.at <= until + GRACE;
        let cut = |who: &str| {
            self.plan.faults.iter().any(|fault| {
                let ends: Vec<&str> = fault.words.split(' ').collect();
                let cut = fault.kind == Kind::Partition && ends.contains(&who) && ends.contains(&&*told.from);
                cut && lately(fault.from, fault.until)
            })
        };
        let other = REPLICAS.into_iter().find(|name| *name != told.from);
        cut(node) && other.is_some_and(cut)
    }

    /// A rule over all nodes may have become untrue while one of them was silent: its alert is kept, and an edit that is
    /// about something else says that it still fires.
    fn is_kept(&self, subject: &Subject, told: &Told) -> bool {
        let last = subject.episode(told.at).and_then(|nth| subject.episodes.get(nth));
        let Some(end) = last.and_then(|episode| episode.until) else {
            return false;
        };
        let silences = self
            .subjects
            .iter()
            .filter(|subject| subject.name.starts_with("AgentSilent"));
        let mut silences = silences.flat_map(|silent| &silent.episodes);
        let held = silences.any(|silence| {
            let until = silence.end(self.plan.end) + self.lag;
            silence.from.saturating_sub(SILENT) <= end && end <= until && told.at <= until
        });
        subject.node.is_none() && told.quiet && held
    }

    /// Each firing and each end is told once; again only with a mark, and only as often as something was killed,
    /// paused, cut or left without an answer.
    fn repeats(&mut self, name: &str, receiver: &Receiver) {
        let told: Vec<Told> = receiver.told().into_iter().filter(|told| !told.quiet).collect();
        let unanswered = told.iter().filter(|told| told.unanswered).count();
        let unheard = self.world.around.net.lost_answers(name);
        let allowed = self.troubles.len() + unanswered + unheard;
        let mut wrong = Vec::new();
        for subject in &self.subjects {
            let mut known: BTreeMap<usize, (bool, bool)> = BTreeMap::new();
            let mut marked = 0;
            for told in &told {
                let fires = told.firing.contains(&subject.name);
                let ends = told.resolved.contains(&subject.name);
                if !fires && !ends {
                    continue;
                }
                let last_fired = known.iter().rfind(|(_, (fired, _))| *fired).map(|(nth, _)| *nth);
                let nth = if fires {
                    subject.episode(told.at)
                } else {
                    last_fired
                };
                let Some(nth) = nth else {
                    continue;
                };
                let (fired, ended) = known.entry(nth).or_default();
                let before = std::mem::replace(if fires { fired } else { ended }, true);
                if !before {
                    continue;
                }
                let forgotten = self.world.blows.iter().any(|blow| blow.all && blow.at < told.at);
                if forgotten && !told.marked {
                    continue;
                }
                self.seen.repeats += 1;
                marked += 1;
                if !told.marked && !self.is_alone(&told.from, told.at) {
                    wrong.push(format!(
                        "unmarked repeat: {name} heard again at {} from {} that {} {}",
                        clock(told.at),
                        told.from,
                        subject.name,
                        if fires { "fires" } else { "is over" }
                    ));
                }
            }
            if marked > allowed {
                wrong.push(format!(
                    "{marked} repeats for {} to {name}, where {allowed} were to be borne",
                    subject.name
                ));
            }
        }
        self.wrong.extend(wrong);
    }

    /// Whether a replica could ask neither the arbiter nor its peer then, or not long enough ago to have caught up.
    fn is_alone(&self, name: &str, at: Duration) -> bool {
        let now = |from: Duration, until: Duration| from <= at && at <= until + TAKE_OVER;
        let arbiter = self.plan.faults.iter().any(|fault| {
            let away = matches!(fault.kind, Kind::ArbiterDown | Kind::HolderDies);
            let cut = fault.kind == Kind::Partition && fault.words.contains("arbiter");
            (away || cut && fault.words.starts_with(name)) && now(fault.from, fault.until)
        });
        let peer = self.troubles.iter().any(|trouble| {
            let dead = trouble
                .words
                .split(' ')
                .next()
                .is_some_and(|who| REPLICAS.contains(&who) && who != name);
            let cut = ["a and b", "a to b", "b to a"]
                .iter()
                .any(|words| trouble.words.ends_with(words));
            (dead || cut) && now(trouble.from, trouble.until)
        });
        arbiter && peer
    }

    /// One incident for each time that something was true.
    fn incidents(&mut self) {
        let mut of: BTreeMap<(String, usize), Duration> = BTreeMap::new();
        for incident in self.world.pager.incidents() {
            let subject = self
                .subjects
                .iter()
                .find(|subject| subject.name == incident.subject);
            let Some(nth) = subject.and_then(|subject| subject.episode(incident.opened)) else {
                continue;
            };
            if let Some(first) = of.insert((incident.subject.clone(), nth), incident.opened) {
                self.wrong.push(format!(
                    "duplicate incident: {} was opened at {} and again at {}",
                    incident.subject,
                    clock(first),
                    clock(incident.opened)
                ));
            }
        }
    }

    /// What a node has read and taken is in both replicas; what one has lost with its disk is in the other.
    fn samples(&mut self) {
        let mut wrong = Vec::new();
        for ground in &self.world.grounds {
            let name = ground.name;
            let kept = REPLICAS.map(|replica| {
                let there = self.world.replica(replica);
                there.map(|there| there.samples(name)).unwrap_or_default()
            });
            let reads = ground.reads.lock();
            let mut missing: BTreeMap<&str, (usize, Duration)> = BTreeMap::new();
            for read in reads.iter().filter(|read| read.at + GRACE < self.plan.end) {
                self.seen.samples += 1;
                let has = [0, 1].map(|nth| kept[nth].get(&read.time) == Some(&read.facts.load));
                // What its own disk has lost may not have been sent before.
                if self.lost(name, read.at) {
                    continue;
                }
                let lost = REPLICAS.map(|replica| self.lost(replica, read.at));
                for nth in [0, 1] {
                    // What the one lost before it was safe the other could not copy from it.
                    let emptied = REPLICAS.map(|replica| self.emptied(replica, read.at));
                    let gone = has[1 - nth] || lost[1 - nth] || emptied[1 - nth];
                    let excused = lost[nth] && gone || emptied[nth] && lost[1 - nth];
                    if !has[nth] && !excused {
                        missing.entry(REPLICAS[nth]).or_insert((0, read.at)).0 += 1;
                    }
                }
            }
            for (replica, (count, first)) in missing {
                let from = clock(first);
                wrong.push(format!(
                    "{count} samples of {name} are missing in {replica}, from {from}"
                ));
            }
        }
        self.wrong.extend(wrong);
    }

    /// Both answer the same, where both could hear.
    fn agreement(&mut self) {
        let [Some(one), Some(other)] = REPLICAS.map(|name| self.world.replica(name)) else {
            return;
        };
        let (one, other) = (one.answers(self.plan.end), other.answers(self.plan.end));
        let minutes = (0..self.plan.end.as_secs() / 60).map(|minute| Duration::from_secs(60 * minute));
        let mut wrong = Vec::new();
        for ground in &self.world.grounds {
            let silent = self
                .subjects
                .iter()
                .find(|subject| subject.name == format!("AgentSilent/{}", ground.name));
            let silent = silent.map(|subject| subject.episodes.clone()).unwrap_or_default();
            for at in minutes.clone() {
                // Each says for itself when a silent node's series ended.
                let near = |episode: &Episode| {
                    let until = episode.end(self.plan.end);
                    episode.from <= at + GRACE && at <= until + GRACE
                };
                let lost = REPLICAS
                    .iter()
                    .any(|replica| self.lost(replica, at.saturating_sub(GRACE)));
                if silent.iter().any(near) || lost || self.lost(ground.name, at.saturating_sub(GRACE)) {
                    continue;
                }
                let key = (ground.name.to_owned(), BASE + at);
                if one.get(&key) != other.get(&key) {
                    let words = format!(
                        "no agreement: at {} {} is {:?} for a and {:?} for b",
                        clock(at),
                        ground.name,
                        one.get(&key),
                        other.get(&key)
                    );
                    wrong.push(words);
                }
            }
        }
        wrong.truncate(3);
        self.wrong.extend(wrong);
    }

    fn emptied(&self, name: &str, since: Duration) -> bool {
        let mut blows = self.world.blows.iter();
        blows.any(|blow| blow.name == name && blow.emptied && since <= blow.at)
    }

    /// Whether a machine has lost since then what it had on its disk, or the disk did not take what was only in memory.
    fn lost(&self, name: &str, since: Duration) -> bool {
        let full = |at: Duration| {
            let mut faults = self.plan.faults.iter();
            faults.any(|fault| {
                fault.kind == Kind::DiskFull && fault.words == name && fault.from <= at && at <= fault.until
            })
        };
        // A replica whose disk is gone copies from the other, if nothing is in the way.
        let copies = |blow: &Blow| {
            let back = blow.until.unwrap_or(self.plan.end) + GRACE * 2;
            let others = self.troubles.iter().filter(|other| other.from != blow.at);
            let mut others = others.filter(|other| other.receiver.is_none());
            !others.any(|other| other.from < back && blow.at < other.until + GRACE)
        };
        let mut blows = self.world.blows.iter();
        blows.any(|blow| {
            let loses = blow.loses || full(blow.at) || blow.emptied && !copies(blow);
            blow.name == name && since <= blow.at && loses
        })
    }
}
