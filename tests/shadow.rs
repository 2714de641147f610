//! What is told of random histories, beside an Alertmanager under the same file that hears the same and is stopped and started
//! again at the same times.
//!
//! Every difference that is meant is a setting of `notifier`, and off here. Everything else has to be the same: receiver, group,
//! alerts, who of them fires, and when, within a tick.
//!
//! Both keep over a restart what they have told, and silences. Alertmanager loses the alerts themselves, so whoever sends them
//! does so again within a tick; Skopos keeps its alerts and the ticks of its groups, and must not be moved by that.

mod canary;
mod history;
mod hook;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use canary::Canary;
use fastrand::Rng;
use history::{Life, Plan};
use hook::{Hook, Message, Told};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::alerting::Alertmanager;
use crate::harness::{Skopos, long_run};

// Messages are whole seconds apart, so that none is due to be repeated just when its group is looked at.
const FILE: &str = r"
route:
  receiver: all
  group_by: [history]
  group_wait: 1s
  group_interval: 3s
  repeat_interval: 8s500ms
  routes:
  - matchers: [ team=db ]
    receiver: db
    continue: true
  - matchers: [ team=~db|web ]
    receiver: all
receivers:
- name: all
  webhook_configs: [ { url: http://HERE/all } ]
- name: db
  webhook_configs: [ { url: http://HERE/db } ]
inhibit_rules:
- source_matchers: [ severity=page ]
  target_matchers: [ severity=warn ]
  equal: [ history ]
";

const CONFIG: &str = "logs: { enabled: false }\nrules: { shipped: false }\nnode: { enabled: false }\n\
                      notifier: { config_file: ours.yml, resolve_wait: null, repeat_on_tick: true, \
                      tell_after_silence: false, tell_lone_ends: true, tell_muted_ends: false }\n";

/// A restart takes so long, in tenths: two ticks, so that no group's is moved.
const PAUSE: i64 = 60;
/// So long after its beginning Alertmanager is back and alerts are sent again; then Skopos is started, and there.
const AGAIN: (i64, i64, i64) = (23, 27, 32);
/// An end lies a little before it is posted: one that is ahead of its clock, even by a millisecond, Alertmanager takes for a
/// promise that is shorter than the one before, answers with 200, and goes on saying that the alert fires.
const BEFORE: Duration = Duration::from_millis(50);
/// Whoever is later than this is not looked at together with the other.
const LATE: Duration = Duration::from_millis(250);
/// Nor whoever has to wait for the disk so long.
const LATE_DISK: Duration = Duration::from_millis(200);
/// So far the clock that waits and the one that is written into alerts may drift apart.
const CLOCKS: Duration = Duration::from_millis(100);
/// A machine that stands still says nothing; then everything begins again.
const TRIES: usize = 5;
/// `group_interval` of the file.
const TICK: Duration = Duration::from_secs(3);

/// Why a run says nothing about either program.
type Disturbance = String;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_alertmanager_tells_the_same_of_random_histories() {
    let histories = if long_run() { 300 } else { 24 };
    for _ in 0..TRIES {
        let folder = tempfile::tempdir().unwrap();
        match Shadow::start(folder.path(), histories).await {
            None => return,
            Some(shadow) => match shadow.run().await {
                Ok(()) => return,
                Err(why) => println!("once more, since nothing can be said: {why}"),
            },
        }
    }
    panic!("{TRIES} times nothing could be compared; see above");
}

struct Shadow {
    plan: Plan,
    histories: usize,
    hooks: [Hook; 2],
    skopos: Skopos,
    alertmanager: Alertmanager,
    client: Client,
    canary: Canary,
    began: Instant,
    wall: jiff::Timestamp,
}

impl Shadow {
    async fn start(folder: &Path, histories: usize) -> Option<Self> {
        let hooks = [Hook::start().await, Hook::start().await];
        let [ours, theirs] = ["ours.yml", "theirs.yml"].map(|name| folder.join(name));
        for (file, hook) in [&ours, &theirs].into_iter().zip(&hooks) {
            std::fs::write(file, FILE.replace("HERE", &hook.address)).unwrap();
        }
        let alertmanager = Alertmanager::start(folder, &theirs).await?;
        let seed = if long_run() { fastrand::u64(..100_000) } else { 6 };
        let seed = std::env::var("SKOPOS_TEST_SEED").map_or(seed, |seed| seed.parse().unwrap());
        println!("seed {seed}");
        let skopos = Skopos::start(folder, CONFIG);
        // In this order: what is said to be past must be.
        let wall = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(1);
        Some(Self {
            plan: Plan::new(histories, &mut Rng::with_seed(seed)),
            histories,
            hooks,
            skopos,
            alertmanager,
            client: Client::builder().no_proxy().build().unwrap(),
            canary: Canary::start(folder),
            began: Instant::now() + Duration::from_secs(1),
            wall,
        })
    }

    async fn run(mut self) -> Result<(), Disturbance> {
        let mut is_posted = false;
        for tenth in 0..self.plan.end() {
            self.wait(self.real(tenth)).await;
            if std::mem::take(&mut is_posted) {
                self.check(tenth - 1).await?;
            }
            let is_silenced = self.silence(tenth).await;
            let changed = |life: &&Life| life.begins == tenth || life.ends == tenth;
            let away = self.plan.restarts.contains(&tenth);
            let alerts: Vec<Value> = self
                .plan
                .lives
                .iter()
                .filter(changed)
                .map(|life| self.body(life, tenth))
                .collect();
            if away {
                self.restart(tenth).await?;
            } else if !alerts.is_empty() {
                for url in self.urls() {
                    self.post(&url, &alerts).await;
                }
                is_posted = true;
            }
            if is_posted || is_silenced {
                self.is_in_time(tenth)?;
            }
        }
        self.is_in_time(self.plan.end() - 1)?;
        self.compare();
        assert_eq!(self.skopos.stop().await, 0);
        Ok(())
    }

    /// Where a tenth of the histories lies, with the restarts before it.
    fn real(&self, tenth: i64) -> i64 {
        let restarts = self.plan.restarts.iter().filter(|restart| **restart < tenth);
        tenth + PAUSE * restarts.count() as i64
    }

    async fn wait(&self, real: i64) {
        tokio::time::sleep_until(self.began + Duration::from_millis(100 * real.unsigned_abs())).await;
    }

    fn at(&self, tenth: i64) -> String {
        let millis = 100 * self.real(tenth);
        (self.wall + jiff::SignedDuration::from_millis(millis)).to_string()
    }

    fn urls(&self) -> [String; 2] {
        [
            self.skopos.url("/api/v2/alerts"),
            format!("{}/api/v2/alerts", self.alertmanager.url),
        ]
    }

    fn body(&self, life: &Life, tenth: i64) -> Value {
        let ends = if life.ends == tenth {
            (jiff::Timestamp::now() - BEFORE).to_string()
        } else {
            self.at(self.plan.end() + 6_000)
        };
        json!({ "labels": life.labels(), "startsAt": self.at(life.begins), "endsAt": ends })
    }

    async fn post(&self, url: &str, alerts: &[Value]) {
        let answer = self.client.post(url).json(&alerts).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
    }

    /// Whether there was anything to silence.
    async fn silence(&self, tenth: i64) -> bool {
        let due = || self.plan.hushes.iter().filter(|hush| hush.begins == tenth);
        for hush in due() {
            for url in self.urls() {
                let url = url.replace("alerts", "silences");
                let body = hush.body(|tenth| self.at(tenth));
                let posted = self.client.post(url).json(&body).send().await.unwrap();
                assert_eq!(posted.status(), 200, "{}", posted.text().await.unwrap());
            }
        }
        due().next().is_some()
    }

    /// Whether what was due has just been done, by the clock that waits and by the one that is written into alerts.
    fn is_in_time(&self, tenth: i64) -> Result<(), Disturbance> {
        let real = Duration::from_millis(100 * self.real(tenth).unsigned_abs());
        let late = (self.began + real).elapsed();
        let by_wall = jiff::Timestamp::now().duration_since(self.wall).as_secs_f64() - real.as_secs_f64();
        let set = by_wall - late.as_secs_f64();
        if late > LATE {
            return Err(format!(
                "the machine stood still: what was due after {real:?} was done {late:?} late"
            ));
        }
        let longest = self.canary.longest();
        if longest > LATE_DISK {
            return Err(format!(
                "the machine's disk stood still: before {real:?} a write of one byte took {longest:?}"
            ));
        }
        if set.abs() > CLOCKS.as_secs_f64() {
            return Err(format!(
                "the machine's clock was set: after {real:?} it is {set:.3} s off"
            ));
        }
        Ok(())
    }

    /// Whether both know which alerts fire now.
    async fn check(&self, tenth: i64) -> Result<(), Disturbance> {
        let firing = self.plan.lives.iter().filter(|life| life.fires(tenth));
        let firing: BTreeSet<String> = firing.map(|life| life.labels().to_string()).collect();
        let [ours, theirs] = self.urls();
        for (url, is_ours) in [(ours, true), (theirs, false)] {
            let answer: Vec<Value> = self.client.get(&url).send().await.unwrap().json().await.unwrap();
            let known: BTreeSet<String> = answer.iter().map(|alert| alert["labels"].to_string()).collect();
            let gone: Vec<&String> = firing.difference(&known).collect();
            let kept: Vec<&String> = known.difference(&firing).collect();
            let differs = format!(
                "after {tenth} tenths it does not know that these fire: {gone:?}; nor that these have ended: {kept:?}"
            );
            let is_right = gone.is_empty() && kept.is_empty();
            assert!(
                is_right || !is_ours,
                "Skopos answered each post with 200, but {differs}"
            );
            if !is_right {
                return Err(format!("Alertmanager answered each post with 200, but {differs}"));
            }
        }
        Ok(())
    }

    /// Stops both and starts them again, while the histories stand still.
    async fn restart(&mut self, tenth: i64) -> Result<(), Disturbance> {
        let real = self.real(tenth);
        let (again, start, there) = (real + AGAIN.0, real + AGAIN.1, real + AGAIN.2);
        let (_, ()) = tokio::join!(self.skopos.terminate(), self.alertmanager.stop());
        self.alertmanager.start_again().await;
        self.is_before(again, "Alertmanager")?;
        let mut missed: Vec<Value> = Vec::new();
        let [ours, theirs] = self.urls();
        for now in again..again + TICK.as_millis() as i64 / 100 {
            self.wait(now).await;
            if now == start {
                self.skopos.start_again();
                self.is_before(there, "Skopos")?;
                self.post(&ours, &std::mem::take(&mut missed)).await;
            }
            let alerts = self.again(tenth, now);
            if alerts.is_empty() {
                continue;
            }
            self.post(&theirs, &alerts).await;
            if now < start {
                missed.extend(alerts);
            } else {
                self.post(&ours, &alerts).await;
            }
            self.is_before(now + 3, "whoever sends alerts again")?;
        }
        Ok(())
    }

    fn is_before(&self, real: i64, who: &str) -> Result<(), Disturbance> {
        let due = self.began + Duration::from_millis(100 * real.unsigned_abs());
        let late = due.elapsed();
        if late.is_zero() {
            return Ok(());
        }
        Err(format!("the machine is too slow: {who} came {late:?} too late"))
    }

    /// What is sent once more now, one wait before its group would have been looked at: what fires, and ends that nobody has
    /// been able to tell. It is not said since when, as by `amtool`: else Alertmanager looks before it has all.
    fn again(&self, tenth: i64, now: i64) -> Vec<Value> {
        let mut alerts: BTreeMap<(usize, usize), Value> = BTreeMap::new();
        let due = |life: &&Life| (now - life.group).rem_euclid(TICK.as_millis() as i64 / 100) == 0;
        for life in self.plan.lives.iter().filter(due) {
            let fires = life.fires(tenth);
            if !fires && (!life.is_pending(tenth) || alerts.contains_key(&(life.history, life.alert))) {
                continue;
            }
            let ends = if fires {
                self.at(self.plan.end() + 6_000)
            } else {
                (jiff::Timestamp::now() - BEFORE).to_string()
            };
            alerts.insert(
                (life.history, life.alert),
                json!({ "labels": life.labels(), "endsAt": ends }),
            );
        }
        alerts.into_values().collect()
    }

    fn compare(&self) {
        let [ours, theirs] = self.hooks.each_ref().map(Hook::told);
        let messages: usize = theirs.values().map(Vec::len).sum();
        let mut differing = Vec::new();
        let mut apart = Duration::ZERO;
        for history in 0..self.histories {
            let name = history::name(history);
            let told = [&ours, &theirs]
                .into_iter()
                .filter_map(|told| told.get(&name))
                .flatten();
            let groups: BTreeSet<&str> = told.map(|message| &*message.group).collect();
            for group in groups {
                let (ours, theirs) = (of(&ours, &name, group), of(&theirs, &name, group));
                let pairs = ours.iter().zip(&theirs);
                let apart_here = pairs.map(|(ours, theirs)| ours.at.max(theirs.at) - ours.at.min(theirs.at));
                let apart_here = apart_here.max().unwrap_or_default();
                if !ours
                    .iter()
                    .map(|message| &message.alerts)
                    .eq(theirs.iter().map(|message| &message.alerts))
                    || apart_here > TICK
                {
                    differing.push(format!(
                        "{name} in {group}:\n  {}\n  ours   {}\n  theirs {}",
                        self.words(history).join("\n  "),
                        self.said(&ours),
                        self.said(&theirs)
                    ));
                }
                if apart_here > LATE_DISK {
                    println!(
                        "APART {apart_here:?} {name} in {group}:\n  {}\n  ours   {}\n  theirs {}",
                        self.words(history).join("\n  "),
                        self.said(&ours),
                        self.said(&theirs)
                    );
                }
                apart = apart.max(apart_here);
            }
        }
        println!(
            "{} histories, {} alerts, {} silences, {} restarts, {messages} messages at most {apart:?} apart, {} groups differ",
            self.histories,
            self.plan.lives.len(),
            self.plan.hushes.len(),
            self.plan.restarts.len(),
            differing.len()
        );
        assert!(messages > 2 * self.histories, "{messages}");
        assert!(
            differing.is_empty(),
            "{}",
            differing[..differing.len().min(5)].join("\n")
        );
    }

    fn words(&self, history: usize) -> Vec<String> {
        let mut lives: Vec<&Life> = self
            .plan
            .lives
            .iter()
            .filter(|life| life.history == history)
            .collect();
        lives.sort_by_key(|life| life.begins);
        let lives = lives.into_iter().map(|life| {
            format!(
                "A{} {} {} {}..{}",
                life.alert, life.team, life.severity, life.begins, life.ends
            )
        });
        let hushes = self.plan.hushes.iter().filter(|hush| hush.history == history);
        let hushes = hushes.map(|hush| format!("A{} is silenced {}..{}", hush.alert, hush.begins, hush.ends));
        let restarts = self
            .plan
            .restarts
            .iter()
            .map(|restart| format!("restart {restart}"));
        lives.chain(hushes).chain(restarts).collect()
    }

    /// Messages with the tenths in which they came, less the pauses before them.
    fn said(&self, messages: &[&Message]) -> String {
        let said = messages.iter().map(|message| {
            let real = (message.at - self.began).as_millis() as i64 / 100;
            let tenth = (0..=real)
                .rev()
                .find(|tenth| self.real(*tenth) <= real)
                .unwrap_or(0);
            let alerts = message.alerts.iter().map(|(name, word)| format!("{name} {word}"));
            format!("{tenth}: {}", alerts.collect::<Vec<_>>().join(", "))
        });
        said.collect::<Vec<_>>().join("; ")
    }
}

fn of<'a>(told: &'a Told, history: &str, group: &str) -> Vec<&'a Message> {
    let all = told.get(history).into_iter().flatten();
    all.filter(|message| message.group == group).collect()
}
