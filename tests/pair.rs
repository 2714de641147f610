//! Two cluster replicas and five nodes as real processes: killed and stopped at random, nothing lost, nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::components::free_port;
use crate::harness::estate::Estate;
use crate::harness::skopos::quick;
use crate::harness::{Skopos, long_run, root};

const NODES: usize = 5;

/// A time in which a node's queue is too long.
#[derive(Clone, Copy, Debug)]
struct Episode {
    node: usize,
    from: Instant,
    to: Instant,
}

/// Values by series and time, of one expression over the last minutes.
async fn range(replica: &Skopos, expr: &str, from: f64, to: f64) -> BTreeMap<(String, i64), String> {
    let url = reqwest::Url::parse_with_params(
        &replica.url("/api/v1/query_range"),
        [
            ("query", expr.to_owned()),
            ("start", from.to_string()),
            ("end", to.to_string()),
            ("step", "2".to_owned()),
        ],
    )
    .unwrap();
    let data = replica
        .api(&format!("{}?{}", url.path(), url.query().unwrap()))
        .await;
    let mut all = BTreeMap::new();
    for series in data["result"].as_array().unwrap() {
        let name = series["metric"].to_string();
        for value in series["values"].as_array().unwrap() {
            all.insert(
                (name.clone(), value[0].as_f64().unwrap() as i64),
                value[1].as_str().unwrap().to_owned(),
            );
        }
    }
    all
}

fn seconds() -> f64 {
    jiff::Timestamp::now().as_millisecond() as f64 / 1000.0
}

/// What of an incident each receiver was told.
fn group_of(payload: &Value) -> String {
    let text = payload.to_string();
    (0..NODES)
        .map(|nth| format!("web-{nth}"))
        .find(|name| text.contains(&**name))
        .unwrap_or_default()
}

// What answers scrapes and takes messages is in this process, and must not wait for what looks at it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_stopped_at_random_nothing_is_lost_and_nothing_told_twice() {
    let (kills, stops, length) = if long_run() {
        (100, 20, Duration::from_secs(21 * 60))
    } else {
        (6, 2, Duration::from_secs(100))
    };
    fastrand::seed(4);
    let mut estate = Estate::build(NODES).await;
    let (_, first) = estate.wait_for_leader(None).await;
    estate.replicas[0]
        .wait_for("all nodes are heard", Duration::from_secs(30), async |replica| {
            replica.value("count(shop_queue_depth)").await == Some(NODES as f64)
        })
        .await;
    let began = seconds();
    let begun = Instant::now();
    let mut episodes: Vec<Episode> = Vec::new();
    let mut open: BTreeMap<usize, Instant> = BTreeMap::new();
    let mut rests: BTreeMap<usize, Instant> = (0..NODES).map(|node| (node, Instant::now())).collect();
    let mut takeovers: Vec<Duration> = Vec::new();
    let pause = length / (kills + stops);
    let mut left: Vec<bool> = std::iter::repeat_n(true, kills as usize)
        .chain(std::iter::repeat_n(false, stops as usize))
        .collect();
    fastrand::shuffle(&mut left);
    let mut next = Instant::now() + pause;
    let mut silent_told = 0;
    let mut faults_at: Vec<String> = Vec::new();
    while begun.elapsed() < length || !left.is_empty() || !open.is_empty() {
        // Truth changes: long enough to have to be told, whatever is killed meanwhile.
        for node in 0..NODES {
            let closing = left.is_empty() && begun.elapsed() >= length;
            if let Some(since) = open.get(&node) {
                // One that ends before anybody lived long enough to tell of it need not be told.
                let told = estate.tells_of(&format!("web-{node}"));
                let (long, longest) = (Duration::from_secs(45), Duration::from_secs(120));
                if since.elapsed() > if told { long } else { longest } {
                    estate.breach(node, false);
                    if let Some(from) = open.remove(&node) {
                        let to = Instant::now();
                        episodes.push(Episode { node, from, to });
                    }
                    rests.insert(node, Instant::now());
                }
            } else if !closing
                && rests[&node].elapsed() > Duration::from_secs(60)
                && fastrand::u32(0..20) == 0
            {
                estate.breach(node, true);
                open.insert(node, Instant::now());
            }
        }
        if next <= Instant::now()
            && let Some(kill) = left.pop()
        {
            next += pause;
            let leader = estate.leader().await;
            // Mostly the replicas; sometimes a node.
            let victim = fastrand::usize(0..4);
            match (kill, victim) {
                (true, 0..=2) => {
                    let nth = leader.filter(|_| victim > 0).unwrap_or(victim % 2);
                    faults_at.push(format!("{nth} killed at {:.1}", begun.elapsed().as_secs_f64()));
                    estate.replicas[nth].kill();
                    if leader == Some(nth) {
                        takeovers.push(estate.wait_for_leader(Some(nth)).await.1);
                    }
                    estate.replicas[nth].kill_and_restart();
                }
                (true, _) => {
                    let nth = fastrand::usize(0..NODES);
                    estate.nodes[nth].kill_and_restart();
                }
                (false, _) => {
                    let nth = leader.unwrap_or(0);
                    faults_at.push(format!("{nth} stopped at {:.1}", begun.elapsed().as_secs_f64()));
                    estate.replicas[nth].signal("-STOP");
                    takeovers.push(estate.wait_for_leader(Some(nth)).await.1);
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    estate.replicas[nth].signal("-CONT");
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // Everything heals, everything is told.
    estate.replicas[0]
        .wait_for(
            "nothing fires any more",
            Duration::from_secs(90),
            async |replica| {
                replica
                    .query("ALERTS{alertstate=\"firing\",alertname=\"QueueLong\"}")
                    .await
                    .is_empty()
            },
        )
        .await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let ended = seconds();

    let faults = (kills + stops) as usize;
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    for episode in &episodes {
        *wanted.entry(format!("web-{}", episode.node)).or_default() += 1;
    }
    // PagerDuty: an incident for each episode, no more, and all of them closed.
    let incidents: Vec<_> = estate
        .pagerduty
        .incidents()
        .into_iter()
        .filter(|incident| incident.triggers[0].to_string().contains("QueueLong"))
        .collect();
    let mut opened: BTreeMap<String, usize> = BTreeMap::new();
    for incident in &incidents {
        *opened.entry(group_of(&incident.triggers[0])).or_default() += 1;
        assert!(
            incident.resolved.is_some(),
            "never resolved: {:?}",
            incident.triggers[0]
        );
    }
    let since = |at: Instant| format!("{:.1}", at.duration_since(begun).as_secs_f64());
    let mut story: Vec<String> = episodes
        .iter()
        .map(|Episode { node, from, to }| format!("web-{node} from {} to {}", since(*from), since(*to)))
        .collect();
    story.extend(incidents.iter().map(|incident| {
        let group = group_of(&incident.triggers[0]);
        let resolved = incident.resolved.map(|at| since(at.into_std()));
        format!(
            "{group} told at {} and {resolved:?}",
            since(incident.opened.into_std())
        )
    }));
    story.sort();
    assert_eq!(
        opened,
        wanted,
        "incidents opened, by node\n{}\n{}\n{}",
        estate.logs(),
        story.join("\n"),
        faults_at.join(", ")
    );
    let mut delays: Vec<f64> = incidents
        .iter()
        .filter_map(|incident| {
            let (group, opened) = (group_of(&incident.triggers[0]), incident.opened.into_std());
            let of = |episode: &&Episode| group == format!("web-{}", episode.node) && episode.from <= opened;
            let episode = episodes.iter().filter(of).max_by_key(|episode| episode.from)?;
            Some(opened.duration_since(episode.from).as_secs_f64())
        })
        .collect();
    delays.sort_by(f64::total_cmp);
    if let Some(worst) = delays.last() {
        let half = delays[delays.len() / 2];
        println!("told after: half within {half:.1} s, worst {worst:.1} s");
    }
    // Slack: each episode's beginning and end at least once; what is said again says so.
    let mut firsts: BTreeMap<String, usize> = BTreeMap::new();
    let (mut repeats, mut ends) = (0, 0);
    let mut seen = BTreeSet::new();
    for posted in estate.slack.posted() {
        let text = posted.lines().join("\n");
        if text.contains("AgentSilent") {
            silent_told += 1;
            continue;
        }
        let group = group_of(&posted.payload);
        if posted.payload.to_string().contains("possibly a repeat") {
            repeats += 1;
        } else if text.contains("Firing") {
            *firsts.entry(group.clone()).or_default() += 1;
        } else {
            ends += 1;
        }
        seen.insert(group);
    }
    assert!(repeats <= faults, "{repeats} repeats for {faults} faults");
    for (group, count) in &wanted {
        let told = firsts.get(group).copied().unwrap_or(0);
        assert!(
            told <= *count,
            "{group}: {told} unmarked firing messages for {count} episodes\n{}",
            estate.logs()
        );
        assert!(
            told + repeats >= *count,
            "{group}: {told} firing messages and {repeats} repeats for {count} episodes"
        );
    }
    // Both replicas answer the same for every minute.
    for replica in &estate.replicas {
        replica
            .wait_for("queues have drained", Duration::from_secs(60), async |replica| {
                replica.value("count(shop_queue_depth)").await == Some(NODES as f64)
            })
            .await;
    }
    let one = range(&estate.replicas[0], "shop_queue_depth", began, ended - 20.0).await;
    let other = range(&estate.replicas[1], "shop_queue_depth", began, ended - 20.0).await;
    let differing: Vec<_> = one
        .iter()
        .filter(|(at, value)| other.get(at) != Some(value))
        .map(|(at, value)| (at, value, other.get(at)))
        .chain(
            other
                .iter()
                .filter(|(at, _)| !one.contains_key(at))
                .map(|(at, value)| (at, value, None)),
        )
        .collect();
    println!(
        "first leader after {first:?}; {} episodes, {} incidents, {ends} ends, {repeats} marked repeats, \
         {silent_told} messages about silent agents, {} take-overs",
        episodes.len(),
        incidents.len(),
        takeovers.len()
    );
    takeovers.sort_unstable();
    if let Some(worst) = takeovers.last() {
        let at = |share: f64| takeovers[((takeovers.len() - 1) as f64 * share) as usize];
        println!(
            "take-over: half within {:?}, nine of ten within {:?}, worst {worst:?}",
            at(0.5),
            at(0.9)
        );
        assert!(*worst <= Duration::from_secs(15), "take-over took {worst:?}");
    }
    println!("{} values compared, {} differ", one.len(), differing.len());
    assert!(
        differing.is_empty(),
        "the replicas differ: {:?}",
        &differing[..differing.len().min(10)]
    );
    estate.stop().await;
}

/// Interval and timeout of the nodes' targets, in milliseconds.
const INTERVAL: i64 = 2_000;
const TIMEOUT: i64 = 1_000;
/// Two clocks of one machine are not quite the same.
const CLOCKS: i64 = INTERVAL / 20;

/// From when to when, in milliseconds.
type Span = (i64, i64);

/// The depth of each node's queue as the pair has it: every time that one replica or the other answers with.
type Answered = Vec<BTreeSet<i64>>;

async fn ask_both(addresses: &[String], from: i64) -> Option<Answered> {
    let mut answered = vec![BTreeSet::new(); NODES];
    let mut somebody = false;
    for address in addresses {
        let now = millis();
        let url = reqwest::Url::parse_with_params(
            &format!("http://{address}/api/v1/query"),
            [
                ("query", format!("shop_queue_depth[{}ms]", now - from)),
                ("time", (now as f64 / 1000.0).to_string()),
            ],
        );
        let Ok(answer) = patient().get(url.unwrap()).send().await else {
            continue;
        };
        let answer: Value = answer.json().await.unwrap_or_default();
        let Some(series) = answer["data"]["result"].as_array() else {
            continue;
        };
        somebody = true;
        for series in series {
            let node = series["metric"]["node"]
                .as_str()
                .and_then(|name| name.strip_prefix("web-"));
            let times = &mut answered[node.unwrap().parse::<usize>().unwrap()];
            for value in series["values"].as_array().unwrap() {
                times.insert((value[0].as_f64().unwrap() * 1000.0).round() as i64);
            }
        }
    }
    somebody.then_some(answered)
}

/// How long a request waits does not matter to what is judged here.
fn patient() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(20))
        .no_proxy()
        .build()
        .unwrap()
}

fn millis() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// How long the machine let a thread that wanted 20 ms wait for more, and when: what it does to this process it does
/// to the others.
struct Stalls(Arc<Mutex<Vec<Span>>>);

impl Stalls {
    fn watch() -> Self {
        let stalls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::downgrade(&stalls);
        std::thread::spawn(move || {
            let mut last = millis();
            while let Some(seen) = seen.upgrade() {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "measures how late the machine wakes a thread"
                )]
                std::thread::sleep(Duration::from_millis(20));
                let now = millis();
                if now - last > 100 {
                    seen.lock().unwrap().push((last, now));
                }
                last = now;
            }
        });
        Self(stalls)
    }

    fn all(&self) -> Vec<Span> {
        self.0.lock().unwrap().clone()
    }
}

/// How much of `from..to` lies in these times.
fn within(times: &[Span], from: i64, to: i64) -> i64 {
    let shared = |(begin, end): &Span| (to.min(*end) - from.max(*begin)).max(0);
    times.iter().map(shared).sum()
}

/// The longest step between samples, having held each to what was possible.
///
/// Judged by the samples' own times and nothing else, so neither a slow test nor a slow answer is a gap or hides one.
/// Whatever the exporter was asked is in the answer: between two neighbouring samples there is the request of the first
/// and no other. And it was asked in time: a step is at most two intervals (a gap of one, which is promised), and
/// longer only by as long as the node itself was down or the machine stood still, as measured. A node is down from its
/// SIGTERM until it runs again, the last sending of what is queued included: some 100 ms on an idle machine, seconds
/// on a busy one, and nobody else scrapes its targets meanwhile.
fn longest_step(node: usize, times: &BTreeSet<i64>, asked: &[i64], downs: &[Span], stalls: &[Span]) -> i64 {
    let times: Vec<i64> = times.iter().copied().collect();
    let answers = requests_of(&times, asked);
    let mut longest = 0;
    for (nth, pair) in times.windows(2).enumerate() {
        let (from, to) = (pair[0], pair[1]);
        let (down, stalled) = (within(downs, from, to), within(stalls, from, to));
        let step = to - from;
        assert!(
            step <= 2 * INTERVAL + down + stalled,
            "web-{node}: no sample for {step} ms from {from}, though it was down for {down} ms only and the machine \
             stood still for {stalled} ms"
        );
        let requests = answers[nth + 1] - answers[nth];
        // A scrape that a node's end or its timeout cuts off has been asked for, and was never a sample.
        let cut = within(downs, from - CLOCKS, to) > 0;
        let cut_off = usize::from(cut) + usize::from(stalled > TIMEOUT / 2);
        assert!(
            requests <= 1 + cut_off,
            "web-{node}: {requests} scrapes from {from} to {to}, and one sample; asked {:?}, down {downs:?}, stalls \
             {stalls:?}, samples {times:?}",
            asked
                .iter()
                .filter(|at| (from - INTERVAL..to + INTERVAL).contains(at))
                .collect::<Vec<_>>()
        );
        longest = longest.max(step);
    }
    longest
}

/// Which request each sample answers, by its place: the first that no earlier sample has, for a node that starts asks
/// at once and then at its target's time, which may be a few milliseconds later.
fn requests_of(times: &[i64], asked: &[i64]) -> Vec<usize> {
    let mut next = 0;
    let answered = times.iter().map(|time| {
        let waiting = &asked[next.min(asked.len())..];
        let place = next + waiting.partition_point(|at| *at < time - CLOCKS);
        next = place + 1;
        place
    });
    answered.collect()
}

/// Scrapes at 0, 2, 4, 6 and 8 s, of which the pair has all but these.
fn judged_without(missing: &[i64], downs: &[Span]) -> i64 {
    let asked: Vec<i64> = (0..5).map(|nth| nth * INTERVAL + 3).collect();
    let times = (0..5).map(|nth| nth * INTERVAL);
    let times = times.filter(|time| !missing.contains(time)).collect();
    longest_step(0, &times, &asked, downs, &[])
}

#[test]
fn a_step_is_as_long_as_the_machine_made_it() {
    assert_eq!(judged_without(&[], &[]), 2_000);
    assert_eq!(judged_without(&[4_000], &[(3_900, 4_100)]), 4_000);
}

/// A node that starts just before its target's time asks twice, and has two samples.
#[test]
fn two_scrapes_close_together_are_two_samples() {
    let times = BTreeSet::from([0, 1_960, 2_000, 4_000]);
    let asked = [3, 1_963, 2_001, 4_003];
    assert_eq!(longest_step(0, &times, &asked, &[(1_700, 1_850)], &[]), 2_000);
}

#[test]
#[should_panic(expected = "2 scrapes from 2000 to 6000, and one sample")]
fn a_lost_sample_is_noticed() {
    judged_without(&[4_000], &[]);
}

#[test]
#[should_panic(expected = "no sample for 6000 ms")]
fn a_gap_is_noticed() {
    judged_without(&[4_000, 6_000], &[(3_900, 4_100)]);
}

#[tokio::test]
async fn a_rolling_restart_leaves_no_gap_and_tells_nobody() {
    let stalls = Stalls::watch();
    let mut estate = Estate::build(NODES).await;
    estate.wait_for_leader(None).await;
    estate.breach(0, true);
    estate.replicas[0]
        .wait_for("it fires and is told", Duration::from_secs(60), async |_| {
            estate.slack.posted().len() == 1 && estate.pagerduty.incidents().len() == 1
        })
        .await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let began = millis();
    let addresses: Vec<String> = estate.replicas.iter().map(|one| one.address.clone()).collect();
    // Meanwhile somebody asks the pair, again and again.
    let enough = Arc::new(AtomicBool::new(false));
    let asking = tokio::spawn({
        let (addresses, enough) = (addresses.clone(), Arc::clone(&enough));
        async move {
            let mut answers = Vec::new();
            while !enough.load(Ordering::Relaxed) {
                answers.push(ask_both(&addresses, began).await);
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            answers
        }
    });
    for nth in 0..2 {
        restart(&mut estate.replicas[nth]).await;
        // As a StatefulSet does: the next one goes once this one is ready.
        estate.replicas[nth]
            .wait_for("ready", Duration::from_secs(60), async |replica| {
                replica.get("/-/ready").await.0 == 200
            })
            .await;
    }
    let mut downs: Vec<Vec<Span>> = vec![Vec::new(); NODES];
    for (nth, downs) in downs.iter_mut().enumerate() {
        downs.push(restart(&mut estate.nodes[nth]).await);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    tokio::time::sleep(Duration::from_secs(15)).await;
    enough.store(true, Ordering::Relaxed);
    let meanwhile = asking.await.unwrap();
    let last = ask_both(&addresses, began).await.expect("both run");
    let stalls = stalls.all();
    let mut unanswered = 0;
    for answered in meanwhile.iter().chain([&Some(last.clone())]) {
        let Some(answered) = answered else {
            unanswered += 1;
            continue;
        };
        for (node, times) in answered.iter().enumerate() {
            let asked = estate.exporters[node].asked();
            longest_step(node, times, &asked, &downs[node], &stalls);
        }
    }
    assert_eq!(unanswered, 0, "times that neither replica answered");
    for (node, times) in last.iter().enumerate() {
        let asked = estate.exporters[node].asked();
        let longest = longest_step(node, times, &asked, &downs[node], &stalls);
        let down = within(&downs[node], began, millis());
        println!(
            "web-{node}: {} samples, longest step {longest} ms, down for {down} ms",
            times.len()
        );
        // The last that was scraped has come through, too.
        let newest = times.last().copied().unwrap_or_default();
        let missing = asked.iter().filter(|at| **at > newest + INTERVAL).count();
        assert!(
            missing <= 2,
            "web-{node}: the last {missing} scrapes are not answered"
        );
    }
    println!(
        "asked {} times meanwhile; the machine stood still for {} ms",
        meanwhile.len(),
        within(&stalls, began, millis())
    );
    let said: Vec<String> = estate
        .slack
        .posted()
        .iter()
        .map(|posted| posted.lines().join(" "))
        .collect();
    assert_eq!(
        said.len(),
        1,
        "somebody was told of a restart: {said:#?}\n{}",
        estate.logs()
    );
    let incidents = estate.pagerduty.incidents();
    assert!(
        incidents.len() == 1 && incidents[0].resolved.is_none(),
        "{incidents:?}"
    );
    estate.stop().await;
}

/// SIGTERM, the end, the same command again; the time from the first to the last.
async fn restart(process: &mut Skopos) -> Span {
    let began = millis();
    process.signal("-TERM");
    process.wait_for_end().await;
    process.kill_and_restart();
    (began, millis())
}

/// The blocks of a manual, by language.
fn blocks(manual: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    manual
        .split(&fence)
        .skip(1)
        .filter_map(|rest| rest.split("```").next().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn the_manual_does_what_it_says() {
    let manual = std::fs::read_to_string(root().join("agent/pair.md")).unwrap();
    let ports: Vec<String> = (0..3).map(|_| free_port().to_string()).collect();
    let here = |text: &str| {
        ["9470", "9471", "9472"]
            .iter()
            .zip(&ports)
            .fold(text.to_owned(), |text, (written, port)| {
                text.replace(written, port)
            })
    };
    let folder = tempfile::tempdir().unwrap();
    for file in blocks(&manual, "yaml") {
        let name = file.lines().next().unwrap().trim_start_matches("# ").to_owned();
        std::fs::write(folder.path().join(name), here(&file)).unwrap();
    }
    let scripts = blocks(&manual, "sh");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_skopos"));
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let shell = |script: &str| {
        let mut command = std::process::Command::new("sh");
        command
            .args(["-ec", script])
            .env("PATH", &path)
            .current_dir(folder.path());
        command
    };
    let made = shell(&scripts[0]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    // A group of their own, so that what the shell started ends with it, however this test ends.
    let started = shell(&(here(&scripts[1]) + "\nwait"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .process_group(0)
        .spawn();
    let running = Family(started.unwrap());
    let ask = async |port: &str, query: &str| -> usize {
        let url = reqwest::Url::parse_with_params(
            &format!("http://127.0.0.1:{port}/api/v1/query"),
            [("query", query)],
        );
        let Ok(answer) = quick().get(url.unwrap()).send().await else {
            return 0;
        };
        let answer: Value = answer.json().await.unwrap_or_default();
        answer["data"]["result"].as_array().map_or(0, Vec::len)
    };
    let until = Instant::now() + Duration::from_secs(60);
    for port in &ports[..2] {
        for query in [
            "node_load1{node=\"web-1\"}",
            "skopos_sender_up{node=\"web-1\"} == 1",
            "skopos_pair_in_step == 1",
        ] {
            while ask(port, query).await == 0 {
                assert!(Instant::now() < until, "{query} is not answered on {port}");
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    }
    drop(running);
}

/// A process and all that it started.
struct Family(std::process::Child);

impl Drop for Family {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        _ = std::process::Command::new("kill")
            .args(["-KILL", "--", &group])
            .status();
        _ = self.0.wait();
    }
}
