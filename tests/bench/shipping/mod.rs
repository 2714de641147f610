//! Log lines for a second of CPU time, from container files to a sink that has them all: ours beside vlagent and rsyslog.
//!
//! The same files, in the page cache; the one that works on one core, sink and everything else on the other. A run
//! counts once the sink has seen every line. Ours sends what OpenSearch takes: bulk, with ids, gzip. vlagent sends its
//! own protocol with zstd. rsyslog takes the container runtime's line apart, sends bulk with ids of file and place,
//! the pod's facts from the file's name and gzip, quickest level, and stores lines of JSON as fields; it does not look
//! for a level.

mod lines;
mod sink;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use logs::{Config, Logs, OpenSearch, Outside};
use programs::usage::{cpu_seconds, memory_bytes};
use programs::{Running, free_port};
use prometheus::Registry;
use rustix::thread::{CpuSet, sched_setaffinity};
use telemetry::clock::RuntimeClock;
use tokio_util::sync::CancellationToken;

use crate::Sizes;
use crate::peer::Program;
use crate::process::{Figures, own_cpu_seconds, rest};
use crate::table::{Better, Table};
use lines::Kind;
use sink::Sink;

const CONTAINERS: usize = 10;
/// Of so many rounds each side's best one counts: other machines share the processor and its caches.
const ROUNDS: usize = 5;
const RSYSLOG: &str = "bench/rsyslog/usr/sbin/rsyslogd";
/// The one of its outputs that packs.
const RSYSLOG_OUTPUT: &str = "bench/rsyslog/usr/lib/x86_64-linux-gnu/rsyslog/omhttp.so";
/// Until whoever gets nowhere is no longer waited for.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn compare(table: &mut Table, _: Option<&Program>, sizes: Sizes) {
    pin(1);
    for kind in [Kind::Text, Kind::Json] {
        let folder = tempfile::tempdir().unwrap();
        lines::write(folder.path(), kind, CONTAINERS, sizes.lines);
        let word = kind.word();
        let vlagent_program = programs::known_in_cache("bench/vlagent");
        let rsyslog_program =
            programs::known_in_cache(RSYSLOG).filter(|_| programs::known_in_cache(RSYSLOG_OUTPUT).is_some());
        let mut best = [None, None, None];
        for _ in 0..if sizes.is_small() { 1 } else { ROUNDS } {
            let ours = run(folder.path(), sizes, |sink| {
                ours_beside(folder.path(), kind, sink, sizes)
            });
            let vlagent = vlagent_program.as_ref().map(|program| {
                run(folder.path(), sizes, |sink| {
                    theirs(vlagent(program, folder.path(), sink), sink, sizes)
                })
            });
            let rsyslog = rsyslog_program.as_ref().map(|program| {
                run(folder.path(), sizes, |sink| {
                    theirs(rsyslog(program, folder.path(), kind, sink), sink, sizes)
                })
            });
            for (best, run) in best.iter_mut().zip([Some(ours), vlagent, rsyslog]) {
                let known = best.take();
                *best = known
                    .into_iter()
                    .chain(run)
                    .min_by(|one, other| one.cpu.total_cmp(&other.cpu));
            }
        }
        let [Some(ours), vlagent, rsyslog] = best else {
            return;
        };
        for (name, peer, goal) in [("vlagent", vlagent, "2x"), ("rsyslog", rsyslog, "15x")] {
            if peer.is_none() {
                eprintln!("MISSING: {name} (run tests/bench/peers)");
            }
            let of = |run: &Run| run.lines / run.cpu / 1e3;
            table.add(
                format!("logs, {word}: 1,000 lines a CPU-second, beside {name}"),
                of(&ours),
                peer.as_ref().map(of),
                Better::More,
                goal,
            );
            table.add(
                format!("logs, {word}: bytes a line on the wire, beside {name}"),
                ours.bytes / ours.lines,
                peer.as_ref().map(|peer| peer.bytes / peer.lines),
                Better::Less,
                "",
            );
            table.add(
                format!("logs, {word}: MB of memory at most, beside {name}"),
                ours.peak / 1e6,
                peer.as_ref().map(|peer| peer.peak / 1e6),
                Better::Less,
                "",
            );
        }
    }
}

struct Run {
    lines: f64,
    cpu: f64,
    peak: f64,
    bytes: f64,
}

/// CPU seconds, and bytes of memory at most.
type Used = (f64, f64);

fn run(folder: &Path, sizes: Sizes, work: impl FnOnce(&Sink) -> Used) -> Run {
    let sink = Sink::start(CONTAINERS, sizes.lines);
    let data = folder.join("data");
    // Nobody goes on where another was.
    _ = fs::remove_dir_all(&data);
    fs::create_dir(&data).unwrap();
    let (cpu, peak) = work(&sink);
    let all = CONTAINERS * sizes.lines;
    sink.seen(|seen| {
        assert_eq!(
            (seen.distinct, seen.twice),
            (all, 0),
            "lines that came, and those that came twice"
        );
        Run {
            lines: all as f64,
            cpu,
            peak,
            bytes: seen.bytes as f64,
        }
    })
}

fn ours_beside(folder: &Path, kind: Kind, sink: &Sink, sizes: Sizes) -> Used {
    fs::write(folder.join("task"), format!("{} {}", kind.word(), sink.port)).unwrap();
    let figures = Figures::of_child("logs", folder, sizes.is_small());
    (figures.get("cpu"), figures.get("peak"))
}

/// The room alone, with what it needs around it.
pub(crate) fn ours(folder: &Path, sizes: Sizes) -> Figures {
    pin(0);
    let task = fs::read_to_string(folder.join("task")).unwrap();
    let (kind, port) = task.split_once(' ').unwrap();
    let sink = OpenSearch {
        url: format!("http://127.0.0.1:{port}"),
        template: false,
        ..OpenSearch::default()
    };
    let config = Config {
        files: Vec::new(),
        containers: folder.join("pods"),
        local: false,
        opensearch: vec![sink],
        ..Config::default()
    };
    let lines = (CONTAINERS * sizes.lines) as u64;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, clock) = (net::HttpClient::new().unwrap(), RuntimeClock::system());
        let aws = aws::Aws::new(
            aws::Config::default(),
            client.clone(),
            clock.clone(),
            &Registry::new(),
        );
        let outside = Outside {
            clock,
            client,
            aws: aws.unwrap(),
            host: "node".to_owned(),
            pods: None,
            once: None,
        };
        let data = folder.join("data");
        let logs = Logs::new(&config, data.clone(), &data, outside, &Registry::new()).unwrap();
        let (handle, stop) = (logs.handle(), CancellationToken::new());
        let running = tokio::spawn(logs.run(stop.clone()));
        let begun = Instant::now();
        while handle.ledger().given < lines {
            assert!(begun.elapsed() < PATIENCE, "{kind}: {:?}", handle.ledger());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
        running.await.unwrap();
    });
    let mut figures = Figures::default();
    figures.set("cpu", own_cpu_seconds());
    figures.set("peak", memory_bytes(std::process::id(), "VmHWM") as f64);
    figures
}

/// Runs until the sink has all.
fn theirs(mut command: Command, sink: &Sink, sizes: Sizes) -> Used {
    let running: Running = programs::start(&mut command);
    let pid = running.0.id();
    let (begun, all) = (Instant::now(), CONTAINERS * sizes.lines);
    loop {
        let came = sink.seen(|seen| seen.distinct);
        if came >= all {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{came} of {all} lines came");
        rest(Duration::from_millis(5));
    }
    (cpu_seconds(pid), memory_bytes(pid, "VmHWM") as f64)
}

fn vlagent(program: &Path, folder: &Path, sink: &Sink) -> Command {
    let kubeconfig = folder.join("kubeconfig");
    let text = format!(
        "current-context: here\ncontexts: [ {{ name: here, context: {{ cluster: here, user: here }} }} ]\n\
         clusters: [ {{ name: here, cluster: {{ server: 'http://127.0.0.1:{}' }} }} ]\nusers: [ {{ name: here, user: {{ token: x }} }} ]\n",
        sink.port
    );
    fs::write(&kubeconfig, text).unwrap();
    let mut command = on_one_core(program);
    command
        .env("KUBECONFIG", kubeconfig)
        .arg("-kubernetesCollector")
        .arg(format!(
            "-kubernetesCollector.logsPath={}",
            folder.join("containers").display()
        ))
        .arg(format!("-tmpDataPath={}", folder.join("data").display()))
        .arg(format!(
            "-remoteWrite.url=http://127.0.0.1:{}/insert/native",
            sink.port
        ))
        .arg(format!("-httpListenAddr=127.0.0.1:{}", free_port()));
    command
}

fn rsyslog(program: &Path, folder: &Path, kind: Kind, sink: &Sink) -> Command {
    let config = folder.join("rsyslog.conf");
    let data = folder.join("data");
    // The runtime's front is 40 bytes, whichever stream it is.
    let (read, text) = match kind {
        Kind::Text => (
            "",
            r#"constant(value="\",\"message\":\"") property(name="msg" position.from="41" format="json") constant(value="\"")"#,
        ),
        Kind::Json => (
            r#"set $.text = substring($msg, 40, 65536); set $.read = parse_json($.text, "\$!fields");"#,
            r#"constant(value="\",\"fields\":") property(name="$!fields")"#,
        ),
    };
    // Of a file's name the one after so many slashes has namespace, pod and uid.
    let pods = folder.join("pods");
    let nth = pods.components().count() + 1;
    let text = format!(
        r#"global(workDirectory="{data}" maxMessageSize="64k")
module(load="imfile" mode="inotify")
module(load="omhttp")
template(name="document" type="list") {{
  constant(value="{{\"create\":{{\"_index\":\"logs\",\"_id\":\"")
  property(name="$!metadata!filename") constant(value="-") property(name="$!metadata!fileoffset")
  constant(value="\"}}}}\n{{\"@timestamp\":\"") property(name="msg" position.to="30")
  constant(value="\",\"stream\":\"") property(name="msg" position.from="32" position.to="37")
  {text}
  constant(value=",\"log\":{{\"offset\":") property(name="$!metadata!fileoffset")
  constant(value=",\"file\":{{\"path\":\"") property(name="$!metadata!filename" format="json")
  constant(value="\"}}}},\"kubernetes\":{{\"namespace\":\"") property(name="$.namespace")
  constant(value="\",\"pod\":\"") property(name="$.pod") constant(value="\",\"pod_uid\":\"") property(name="$.uid")
  constant(value="\",\"container\":\"") property(name="$.container")
  constant(value="\"}},\"host\":{{\"name\":\"") property(name="hostname") constant(value="\"}}}}")
}}
ruleset(name="ship") {{
  set $.owner = field($!metadata!filename, 47, {nth});
  set $.container = field($!metadata!filename, 47, {nth} + 1);
  set $.namespace = field($.owner, 95, 1);
  set $.pod = field($.owner, 95, 2);
  set $.uid = field($.owner, 95, 3);
  {read}
  action(type="omhttp" server="127.0.0.1" serverport="{port}" usehttps="off" restpath="_bulk" template="document"
    batch="on" batch.format="newline" batch.maxsize="5000" batch.maxbytes="5242880" compress="on" compress.level="1"
    queue.type="linkedlist" queue.size="100000" queue.dequeuebatchsize="5000"
    queue.highwatermark="90000" queue.timeoutenqueue="100000000" action.resumeretrycount="-1")
}}
input(type="imfile" file="{pods}/*/app/*.log" tag="app" ruleset="ship" addMetadata="on" freshStartTail="off")
"#,
        data = data.display(),
        port = sink.port,
        pods = pods.display(),
    );
    fs::write(&config, text).unwrap();
    let home = program.ancestors().nth(3).unwrap();
    let libraries = home.join("usr/lib/x86_64-linux-gnu");
    let mut command = on_one_core(program);
    command
        .env("LD_LIBRARY_PATH", &libraries)
        .arg("-n")
        .arg("-f")
        .arg(config)
        .arg("-i")
        .arg(data.join("pid"))
        .arg("-M")
        .arg(libraries.join("rsyslog"));
    command
}

fn on_one_core(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program);
    command
}

/// Keeps this process to one core, where there are two.
fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    if sched_setaffinity(None, &set).is_err() {
        eprintln!("not on a core of its own: there is none");
    }
}
