//! Goes through the past, a stretch of time after the other.

use std::sync::Arc;
use std::time::Duration;

use model::{Ask, Keep, Timestamp};
use promql::script::Memory;

use super::given::Given;
use super::over::Over;
use super::past::{Past, PastError};
use super::plan::{Place, Plan, schedule};
use super::report::{Failure, Report};
use super::steps::Steps;
use super::then::{Ready, Then};
use super::watch::Watch;
use super::{Settings, Wrong, gaps};
use crate::group::{Group, Kind, OnMissing, Rule};
use crate::heard::LOOKBACK;
use crate::runner::Running;
use crate::world::World;

/// Slots of the shortest interval in one stretch.
const SLOTS: u32 = 500;
/// Evaluated before the time asked for, at most, unless more is asked for.
const WARM_UP_MAX: Duration = Duration::from_secs(86_400);

pub(super) struct Run<'a> {
    settings: &'a Settings,
    plan: Plan,
    past: Arc<dyn Past>,
    then: Arc<Then>,
    own: Arc<Memory>,
    world: World,
    groups: Vec<Progress>,
    interval: Duration,
    evaluations: u64,
    notes: Vec<String>,
}

/// A group, and how far it has come.
struct Progress {
    running: Running,
    offset: Duration,
    rules: Vec<Watched>,
}

struct Watched {
    /// None of a recorded series.
    watch: Option<Watch>,
    failure: Option<Failure>,
    /// The end of a gap since its last evaluation.
    resumes: Option<Timestamp>,
}

/// Slots of one group in a stretch, as the times of its questions.
#[derive(Clone, Copy)]
struct Slots {
    steps: Steps,
    offset: Duration,
}

impl<'a> Run<'a> {
    pub(super) fn new(groups: &[Group], past: Arc<dyn Past>, settings: &'a Settings) -> Result<Self, Wrong> {
        let plan = Plan::new(groups, &settings.options, settings.one_by_one);
        let own = Memory::shared();
        let over = Arc::new(Over::new(Arc::clone(&own), Arc::clone(&plan.outputs)));
        let then = Then::new(
            Arc::clone(&past),
            over,
            Arc::clone(&plan.outputs),
            settings.engine.clone(),
        );
        let then = Arc::new(then);
        let keep: Arc<dyn Keep> = Arc::new(Given::new(&own, plan.read.clone()));
        let ask = Arc::clone(&then) as Arc<dyn Ask>;
        let world = World::alone(ask, keep, settings.options.clone(), settings.from).map_err(Wrong::Away)?;
        let groups: Vec<Progress> = groups
            .iter()
            .map(|group| Progress::new(group, &world, settings))
            .collect();
        let busy = groups.iter().filter(|group| !group.rules.is_empty());
        let interval = busy.map(|group| group.running.interval).min();
        Ok(Self {
            settings,
            plan,
            past,
            then,
            own,
            world,
            groups,
            interval: interval.unwrap_or(settings.options.evaluation_interval),
            evaluations: 0,
            notes: Vec::new(),
        })
    }

    pub(super) async fn through(mut self, progress: &mut dyn FnMut(Timestamp)) -> Result<Report, Wrong> {
        let Settings { from, until, .. } = *self.settings;
        let begin = from - self.warm_up();
        let mut all_gaps: Vec<(Timestamp, Timestamp)> = Vec::new();
        let mut at = begin;
        while at < until {
            let end = until.min(at + self.interval.saturating_mul(SLOTS));
            let mut gaps = gaps::gaps(&*self.past, (at, end), self.interval)
                .await
                .map_err(wrong)?;
            // What is missing at the very end may still come.
            gaps.retain(|(first, _)| *first + LOOKBACK <= until);
            self.stretch((at, end), &gaps).await?;
            for (first, last) in gaps {
                match all_gaps.last_mut().filter(|(_, known)| *known >= first) {
                    Some((_, known)) => *known = last,
                    None => all_gaps.push((first, last)),
                }
            }
            at = end;
            progress(at);
        }
        all_gaps.retain(|(_, last)| *last > from);
        if all_gaps
            .first()
            .is_some_and(|(first, last)| *first <= from && *last >= until)
        {
            return Err(Wrong::NoHistory);
        }
        Ok(self.done(begin, all_gaps))
    }

    fn warm_up(&mut self) -> Duration {
        let needed = self.plan.warm_up;
        if let Some(asked) = self.settings.warm_up {
            return asked;
        }
        if needed > WARM_UP_MAX {
            let [needed, most] = [needed, WARM_UP_MAX].map(model::text::duration::short);
            self.notes.push(format!(
                "what happens at the beginning may depend on {needed} before it, of which {most} are evaluated; \
                 a longer warm-up can be asked for"
            ));
        }
        needed.min(WARM_UP_MAX)
    }

    async fn stretch(
        &mut self,
        (from, until): (Timestamp, Timestamp),
        gaps: &[(Timestamp, Timestamp)],
    ) -> Result<(), Wrong> {
        if let Some(back) = self.plan.own_back {
            self.own.forget(from - back - self.longest_offset());
        }
        let mut at = from;
        for (first, last) in gaps {
            self.between(at, Timestamp(first.0.saturating_sub(1))).await?;
            let rules = self.groups.iter_mut().flat_map(|group| &mut group.rules);
            rules.for_each(|rule| rule.resumes = Some(*last));
            at = *last;
        }
        self.between(at, until).await?;
        let (held, most) = (self.own.samples(), self.settings.engine.samples_max);
        if held > most {
            return Err(Wrong::TooMuch(format!(
                "what these rules record and others of them read comes to more than {most} samples; \
                 name fewer alerts, or allow more"
            )));
        }
        Ok(())
    }

    fn longest_offset(&self) -> Duration {
        let offsets = self.groups.iter().map(|group| group.offset);
        offsets.max().unwrap_or_default()
    }

    /// The slots after the one time and up to the other.
    async fn between(&mut self, from: Timestamp, until: Timestamp) -> Result<(), Wrong> {
        for place in self.plan.ahead.clone() {
            self.ahead(place, (from, until)).await?;
        }
        if self.plan.together.is_empty() {
            return Ok(());
        }
        // What they read may be too much for so long at a time.
        let mut left = vec![(from, until)];
        while let Some((from, until)) = left.pop() {
            match self.together((from, until)).await {
                Err(PastError::Unanswered(_)) if until.since(from) > self.interval => {
                    let middle = from + until.since(from) / 2;
                    left.extend([(middle, until), (from, middle)]);
                }
                ended => ended.map_err(wrong)?,
            }
        }
        Ok(())
    }

    /// Asks one rule about as many slots at a time as there is an answer for.
    async fn ahead(&mut self, place: Place, between: (Timestamp, Timestamp)) -> Result<(), Wrong> {
        let (expr, slots) = self.question(place, between);
        let mut left = slots.parts();
        while let Some(steps) = left.pop() {
            let answers = match self.then.fetch(&expr, steps).await {
                Err(PastError::Unanswered(_)) if steps.count > 1 => {
                    let (early, late) = steps.halves();
                    left.extend([late, early]);
                    continue;
                }
                Err(PastError::Unanswered(why)) => Err(why),
                Err(other) => return Err(wrong(other)),
                Ok(answers) => Ok(answers),
            };
            let mut ready = Ready::new(&expr);
            ready.push(steps, answers);
            self.then.put(place, ready);
            for time in steps.times() {
                if self.is_quiet(place) && self.then.next(place) > time {
                    self.evaluations += 1;
                    continue;
                }
                self.evaluate(place, time + slots.offset).await.map_err(wrong)?;
            }
            self.then.forget();
        }
        Ok(())
    }

    /// Evaluates the rules that go slot by slot.
    async fn together(&mut self, between: (Timestamp, Timestamp)) -> Result<(), PastError> {
        let places = self.plan.together.clone();
        let asked: Vec<_> = places
            .iter()
            .map(|place| (*place, self.question(*place, between)))
            .collect();
        let (over, alone): (Vec<_>, Vec<_>) = asked
            .iter()
            .partition(|(_, (expr, _))| self.then.needs_over(expr));
        let questions = over.iter().filter(|(_, (_, slots))| slots.steps.count > 0);
        self.then
            .read(questions.map(|(_, (expr, slots))| (&**expr, slots.steps, slots.offset)))
            .await?;
        for (place, (expr, slots)) in alone {
            self.prepare(*place, expr, *slots).await?;
        }
        let slots = asked.iter().flat_map(|(place, (_, slots))| {
            let times = slots.steps.times();
            times.map(|time| (time + slots.offset, *place))
        });
        let mut slots: Vec<_> = slots.collect();
        slots.sort();
        for (slot, place) in slots {
            self.evaluate(place, slot).await?;
        }
        self.then.forget();
        Ok(())
    }

    /// Asks about all slots, where that is not too much; what is not known then is asked for when it is needed.
    async fn prepare(&self, place: Place, expr: &Arc<str>, slots: Slots) -> Result<(), PastError> {
        let mut ready = Ready::new(expr);
        let mut left = slots.parts();
        while let Some(steps) = left.pop() {
            match self.then.fetch(expr, steps).await {
                Ok(answers) => ready.push(steps, Ok(answers)),
                Err(PastError::Unanswered(_)) if steps.count > 1 => {
                    let (early, late) = steps.halves();
                    left.extend([late, early]);
                }
                Err(PastError::Unanswered(why)) => ready.push(steps, Err(why)),
                Err(other) => return Err(other),
            }
            if ready.len() > self.settings.engine.samples_max {
                break;
            }
        }
        self.then.put(place, ready);
        Ok(())
    }

    /// The expression of a rule, and its slots after the one time and up to the other.
    fn question(&self, place: Place, (from, until): (Timestamp, Timestamp)) -> (Arc<str>, Slots) {
        let group = &self.groups[place.group];
        let schedule = schedule(&group.running.group, &self.settings.options);
        let first = schedule.after(from);
        let interval = group.running.interval;
        let count = if first <= until {
            until.since(first).as_millis() / interval.as_millis().max(1) + 1
        } else {
            0
        };
        let steps = Steps {
            first,
            step: interval,
            count: u32::try_from(count).unwrap_or(u32::MAX),
        };
        let expr = group.running.group.rules[place.rule].expr.written().into();
        let slots = Slots {
            steps: steps.earlier(group.offset),
            offset: group.offset,
        };
        (expr, slots)
    }

    /// Nothing of the rule is there that an evaluation without an answer could change.
    fn is_quiet(&self, place: Place) -> bool {
        let group = &self.groups[place.group];
        let rule = &group.running.group.rules[place.rule];
        let alerts_on_missing =
            rule.alerting().and_then(|alerting| alerting.on_missing) == Some(OnMissing::Alert);
        let is_idle = group.running.states[place.rule].lock().is_idle();
        is_idle && !alerts_on_missing && group.rules[place.rule].watch.as_ref().is_none_or(Watch::is_quiet)
    }

    async fn evaluate(&mut self, place: Place, slot: Timestamp) -> Result<(), PastError> {
        let group = &mut self.groups[place.group];
        let (running, watched) = (&group.running, &mut group.rules[place.rule]);
        let (rule, state) = (&running.group.rules[place.rule], &running.states[place.rule]);
        if let Some(since) = watched.resumes.take() {
            let tolerance = self.settings.options.config.outage_tolerance;
            state.lock().resume(since, slot, tolerance);
        }
        self.then.turn(place, slot);
        let result = running.evaluation(&self.world, (rule, state), slot).run().await;
        if let Some(why) = self.then.away() {
            return Err(PastError::Away(why));
        }
        self.evaluations += 1;
        let mut state = state.lock();
        if let Err(message) = &result {
            watched.fail(&running.group, rule, slot, message);
        }
        state.ended(slot, Duration::ZERO, result.err());
        if let Some(watch) = &mut watched.watch {
            watch.look(&state, slot);
        }
        Ok(())
    }

    fn done(mut self, begin: Timestamp, gaps: Vec<(Timestamp, Timestamp)>) -> Report {
        self.notes.extend(self.past.notes());
        let (mut alerts, mut failures) = (Vec::new(), Vec::new());
        for watched in self.groups.into_iter().flat_map(|group| group.rules) {
            alerts.extend(watched.watch.map(Watch::done));
            failures.extend(watched.failure);
        }
        Report {
            from: self.settings.from,
            until: self.settings.until,
            warmed_up_from: begin,
            evaluations: self.evaluations,
            gaps,
            alerts,
            failures,
            notes: self.notes,
        }
    }
}

impl Progress {
    fn new(group: &Group, world: &World, settings: &Settings) -> Self {
        let span = (settings.from, settings.until);
        let watched = |rule: &Rule| Watched {
            watch: rule.alerting().map(|_| Watch::new(group, rule, span)),
            failure: None,
            resumes: None,
        };
        Self {
            running: Running::new(&without_annotations(group), world),
            offset: group.query_offset.unwrap_or(settings.options.query_offset),
            rules: group.rules.iter().map(watched).collect(),
        }
    }
}

/// Nobody reads them here.
fn without_annotations(group: &Group) -> Group {
    let mut group = group.clone();
    for rule in &mut group.rules {
        if let Kind::Alert(alerting) = &mut rule.kind {
            alerting.annotations.clear();
        }
    }
    group
}

impl Watched {
    fn fail(&mut self, group: &Group, rule: &Rule, slot: Timestamp, message: &str) {
        let failure = self.failure.get_or_insert_with(|| Failure {
            file: group.file.clone(),
            group: group.name.clone(),
            rule: rule.name.clone(),
            times: 0,
            first: slot,
            message: message.to_owned(),
        });
        failure.times += 1;
    }
}

impl Slots {
    fn parts(self) -> Vec<Steps> {
        if self.steps.count == 0 {
            Vec::new()
        } else {
            vec![self.steps]
        }
    }
}

fn wrong(error: PastError) -> Wrong {
    match error {
        PastError::Away(why) => Wrong::Away(why),
        PastError::Unanswered(why) => Wrong::Unanswered(why),
    }
}
