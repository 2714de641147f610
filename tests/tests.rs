//! One test binary; a module per promise made to users.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that meets the unexpected fails by panicking, and prints its figures"
)]
#![allow(unreachable_pub, reason = "modules of one binary speak to each other plainly")]

mod fakes;
mod harness;

/// Garbage, endless answers, long lines, deep brackets, a full disk.
mod abuse;
mod alerting;
/// `ALERTS` and `ALERTS_FOR_STATE`, beside a real Prometheus.
mod alike;
/// The users' estate on AWS, watched for a day, and what goes wrong in it.
mod aws_estate;
/// What is there, beside moto.
mod aws_moto;
/// What two replicas pay AWS, and tell of it, while the API server is away.
mod aws_outage;
mod aws_page;
/// What real processes pay AWS: killed, and handed over.
mod aws_replicas;
/// `skopos backtest`, of blocks and of a process.
mod backtest;
/// The chart, on a real Kubernetes with a node.
mod chart;
/// `skopos check` and reload: bad input gets place, excerpt and suggestion, and changes nothing.
mod check;
/// `skopos cloudwatch` and `skopos import yace`, beside a fake AWS.
mod cloudwatch;
/// Log lines to CloudWatch Logs: killed, shown to people, checked.
mod cloudwatch_logs;
/// In Kubernetes, against a real API server: whose lines are whose, and who leads.
mod clusters;
/// Grafana dashboards: generated, and every panel answered by a running Skopos.
mod dashboards;
/// Rules that ask an engine elsewhere: a real Prometheus.
mod datasource;
/// Targets among the objects of a real API server, beside a real Prometheus.
mod discovery;
/// `skopos doctor`: verdicts, sentences, exit codes.
mod doctor;
/// Log lines and values beside an alert, from a running process to Slack.
mod evidence;
/// Exemplars of scrapes and of remote write, beside a real Prometheus.
mod exemplars;
/// `skopos explain`: reasons, and tests that promtool passes.
mod explain;
/// Rule groups and their metrics, beside a real Prometheus.
mod groups;
/// Targets that are handed to agents: read by one, whoever dies.
mod handing;
/// The house shows itself: in ARCHITECTURE.md, on a terminal, on the page.
mod house;
/// What is in the container image is enough to run.
mod image;
mod interruptions;
mod inventory;
mod kubestate;
/// A crash loop, a rotation and a kill for want of memory on a real node.
mod lab;
/// Every line once, through rotation and `kill -9`.
mod lines;
/// `skopos lint rules`: findings, exit codes, what a running process and a real Prometheus say.
mod lint;
mod messages;
/// Objects of prometheus-operator, beside a real one and a real Prometheus.
mod monitors;
/// A server of names that is silent.
mod names;
/// Native histograms of remote write, beside a real Prometheus.
mod native;
/// A process that the kernel ends for want of memory, in a real cgroup.
mod oom;
/// The page in a real browser.
mod page;
/// Two replicas and their nodes, killed and stopped at random.
mod pair;
/// Prometheus, promtool and node_exporter agree with us.
mod peers;
/// Starting, stopping, exit codes, locks, ports.
mod process;
/// `skopos query`, of processes and of data directories.
mod query;
/// Certificates and credentials of a target, beside a real Prometheus.
mod reach;
/// Rules over the labels of targets, beside a real Prometheus.
mod relabelling;
/// Remote write to and from real ones, and who may write what.
mod remote;
mod rights;
/// `skopos test rules`: verdicts, exit codes, JUnit.
mod rules;
/// What is told of random histories, restarts among them, beside a real Alertmanager.
mod shadow;
/// Log lines to OpenSearch: signed, on a full disk, shown to people.
mod shipping;
/// Requests that are signed for AWS, and where their credentials come from.
mod signed;
/// Silences by amtool, on one process and on a pair.
mod silences;
/// Two replicas and their nodes on virtual time, with every fault that a seed can name.
mod sim;
/// `skopos slo render`, and objectives wherever rules are taken.
mod slo;
/// A disk fills: pending, firing, one message, freed, resolved, with `kill -9` in the middle.
mod story;
/// The last lines of a pod, from its node to the page.
mod tail;
/// Metrics that lines make, and alerts on them.
mod tally;
/// The house keeps its own rules: floors, shipped files, lengths.
mod tidy;
/// `skopos logs verify`: a file and what is kept of it.
mod verify;
