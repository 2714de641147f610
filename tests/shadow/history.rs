//! Histories: which alerts fire and end when, what is silenced meanwhile, and when everything restarts.
//!
//! Times are in tenths of a second. What happens to a group lies well away from when it is looked at: groups begin at a whole
//! second or three tenths after it and are looked at there, everything else happens six tenths after. Both programs then
//! decide on the same knowledge; no history is spared anything else.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::{Value, json};

/// `group_wait` and `group_interval` of the file.
const WAIT: i64 = 10;
const TICK: i64 = 30;

/// An alert of a history, from one beginning to its end.
#[derive(Clone, Debug)]
pub struct Life {
    pub history: usize,
    pub alert: usize,
    pub team: &'static str,
    pub severity: &'static str,
    pub begins: i64,
    pub ends: i64,
    /// When the group that it is looked at with began.
    pub group: i64,
}

impl Life {
    pub fn labels(&self) -> Value {
        json!({
            "alertname": format!("A{}", self.alert), "history": name(self.history), "team": self.team,
            "severity": self.severity,
        })
    }

    pub fn fires(&self, now: i64) -> bool {
        self.begins <= now && now < self.ends
    }

    /// Whether it is over, and its group has not been looked at since.
    pub fn is_pending(&self, now: i64) -> bool {
        let ticks = (now - self.group - WAIT).div_euclid(TICK);
        let last = self.group + WAIT + TICK * ticks;
        self.begins <= now && self.ends <= now && (last < self.ends || now < self.group + WAIT)
    }
}

/// A silence of one alert of a history.
#[derive(Clone, Debug)]
pub struct Hush {
    pub history: usize,
    pub alert: usize,
    pub begins: i64,
    pub ends: i64,
}

impl Hush {
    /// As it is posted to both.
    pub fn body(&self, at: impl Fn(i64) -> String) -> Value {
        let is = |name: &str, value: String| json!({ "name": name, "value": value, "isRegex": false, "isEqual": true });
        json!({
            "matchers": [is("history", name(self.history)), is("alertname", format!("A{}", self.alert))],
            "startsAt": at(self.begins), "endsAt": at(self.ends), "createdBy": "test", "comment": "a test",
        })
    }
}

/// As in the label `history`.
pub fn name(history: usize) -> String {
    format!("h{history:03}")
}

/// All that happens.
pub struct Plan {
    pub lives: Vec<Life>,
    pub hushes: Vec<Hush>,
    /// Just after these both are stopped and started again, while the histories stand still.
    pub restarts: Vec<i64>,
}

impl Plan {
    /// Three histories begin each second.
    pub fn new(histories: usize, rng: &mut Rng) -> Self {
        let seconds = histories as i64 / 3;
        let restarts = (1..=1 + seconds / 30).map(|nth| 10 * (nth * seconds / (1 + seconds / 30)) + 7);
        let mut plan = Self {
            lives: Vec::new(),
            hushes: Vec::new(),
            restarts: restarts.collect(),
        };
        let mut second = 0;
        for history in 0..histories {
            second += i64::from(history % 3 == 0 && history > 0);
            while plan.is_interrupted(10 * second) {
                second += 1;
            }
            let lives = if rng.u8(..3) == 0 {
                plan.of_root(history, second, rng)
            } else {
                plan.of_teams(history, second, rng)
            };
            if rng.bool() {
                let begins = 10 * (second + rng.i64(0..10)) + 6;
                let life = &lives[rng.usize(..lives.len())];
                plan.hushes.push(Hush {
                    history,
                    alert: life.alert,
                    begins,
                    ends: begins + 10 * rng.i64(2..9),
                });
            }
            plan.lives.extend(lives);
        }
        plan
    }

    pub fn end(&self) -> i64 {
        self.lives.iter().map(|life| life.ends).max().unwrap_or(0) + 60
    }

    /// Of a restart before its first look Alertmanager knows nothing, and Skopos makes up for it at once.
    fn is_interrupted(&self, begins: i64) -> bool {
        self.restarts
            .iter()
            .any(|restart| (begins..begins + WAIT).contains(restart))
    }

    /// Some of what ends while both are away; the others wait until both are back.
    fn ending(&self, ends: i64, rng: &mut Rng) -> i64 {
        let restart = self.restarts.iter().find(|restart| **restart == ends - 9);
        restart.copied().filter(|_| rng.bool()).unwrap_or(ends)
    }

    /// Alerts of two teams, whose groups begin together and last as long as the first of the alerts; and some of nobody's.
    fn of_teams(&self, history: usize, second: i64, rng: &mut Rng) -> Vec<Life> {
        let kinds = [
            ("db", "page"),
            ("web", "warn"),
            ("db", "warn"),
            ("web", "info"),
            ("db", "info"),
        ];
        let mut lives: Vec<Life> = Vec::new();
        for alert in 1..=rng.usize(0..4) {
            let (team, severity) = kinds[rng.usize(..kinds.len())];
            let mut from = second + rng.i64(0..9);
            for _ in 0..=rng.u8(..2) {
                let until = from + rng.i64(1..9);
                lives.push(Life {
                    history,
                    alert,
                    team,
                    severity,
                    begins: 10 * from + 6,
                    ends: self.ending(10 * until + 6, rng),
                    group: 10 * second,
                });
                from = until + rng.i64(1..6);
            }
        }
        let last = lives
            .iter()
            .map(|life| life.ends.div_euclid(10))
            .max()
            .unwrap_or(second);
        let severity = ["page", "warn", "info"][rng.usize(..3)];
        lives.push(Life {
            history,
            alert: 0,
            team: "db",
            severity,
            begins: 10 * second,
            ends: self.ending(10 * (last + rng.i64(2..9)) + 6, rng),
            group: 10 * second,
        });
        one_page(&mut lives);
        if rng.u8(..3) == 0 {
            let alerts = 5..6 + rng.usize(..2);
            lives.extend(self.unowned(history, second, alerts, &["info"], rng));
        }
        lives
    }

    /// Alerts of nobody's, whose group ends and begins anew.
    fn of_root(&self, history: usize, second: i64, rng: &mut Rng) -> Vec<Life> {
        let alerts = 0..1 + rng.usize(..3);
        let mut lives = self.unowned(history, second, alerts, &["page", "warn", "info"], rng);
        one_page(&mut lives);
        lives
    }

    fn unowned(
        &self,
        history: usize,
        second: i64,
        alerts: std::ops::Range<usize>,
        severities: &[&'static str],
        rng: &mut Rng,
    ) -> Vec<Life> {
        // From which second on each fires, and how often more.
        let mut due: BTreeSet<(i64, usize, u8)> = alerts
            .map(|alert| (second + rng.i64(0..6), alert, rng.u8(..3)))
            .collect();
        let severity: Vec<&str> = (0..8)
            .map(|_| severities[rng.usize(..severities.len())])
            .collect();
        let mut lives: Vec<Life> = Vec::new();
        let mut root = Root::default();
        while let Some((from, alert, more)) = due.pop_first() {
            let (new, late) = (10 * from + 3, 10 * from + 6);
            let group = root.at(late, &lives, &self.restarts);
            // A group that ends just as another one would begin.
            let is_close = root.ended.is_some_and(|ended| ended >= new - 3);
            if group.is_none() && (is_close || self.is_interrupted(new)) {
                due.insert((from + 1, alert, more));
                continue;
            }
            let until = from + rng.i64(1..8);
            lives.push(Life {
                history,
                alert,
                team: "none",
                severity: severity[alert],
                begins: if group.is_none() { new } else { late },
                ends: self.ending(10 * until + 6, rng),
                group: group.unwrap_or(new),
            });
            root.group = group.or(Some(new));
            if more > 0 {
                due.insert((until + rng.i64(1..6), alert, more - 1));
            }
        }
        lives
    }
}

/// The group of all that is nobody's: it ends when it is looked at and nothing fires any more.
#[derive(Default)]
struct Root {
    group: Option<i64>,
    ended: Option<i64>,
}

impl Root {
    /// When the group that is there now began, if one is.
    fn at(&mut self, now: i64, lives: &[Life], restarts: &[i64]) -> Option<i64> {
        let group = self.group?;
        let looks = (group + WAIT..=now).step_by(TICK as usize);
        let more = restarts
            .iter()
            .copied()
            .filter(|restart| (group + WAIT..=now).contains(restart));
        let mut looks: Vec<i64> = looks.chain(more).collect();
        looks.sort_unstable();
        let own = || lives.iter().filter(|life| life.group == group);
        let is_over = |look: &i64| {
            let mut known = own().filter(|life| life.begins <= *look);
            known.all(|life| life.ends <= *look)
        };
        if let Some(ended) = looks.into_iter().find(is_over) {
            (self.group, self.ended) = (None, Some(ended));
        }
        self.group
    }
}

/// Of several sources of an inhibition Alertmanager heeds one.
fn one_page(lives: &mut [Life]) {
    let page = lives
        .iter()
        .find(|life| life.severity == "page")
        .map(|life| life.alert);
    for life in lives.iter_mut().filter(|life| life.severity == "page") {
        if Some(life.alert) != page {
            life.severity = "info";
        }
    }
}
