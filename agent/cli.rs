//! What can be typed: `skopos` alone runs; everything else is a subcommand that ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use model::Level;
use rules::lint::Severity;
use telemetry::logs::Format;

/// Reads metrics and log lines where they are made, keeps them, asks them questions, and tells people the
/// answers. Without arguments it watches this machine and serves a page at http://127.0.0.1:9464/.
#[derive(Debug, Parser)]
#[command(name = "skopos", version = version(), disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub run: RunArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration file; built-in defaults when left out.
    #[arg(short, long, value_name = "FILE", env = "SKOPOS_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where metrics, alerts and log lines are kept.
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "data",
        global = true,
        env = "SKOPOS_DATA_DIR"
    )]
    pub data_dir: PathBuf,
    /// Address of the page and the APIs; stands above `web.listen`.
    #[arg(long, value_name = "ADDRESS", env = "SKOPOS_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Which part of the work this process does.
    #[arg(long, value_enum, default_value_t = Role::All, env = "SKOPOS_ROLE")]
    pub role: Role,
    /// How its own log is written to standard error: text or json. SKOPOS_LOG filters it (info, debug, notifier=trace).
    #[arg(long, value_name = "FORMAT", default_value_t = Format::Text, env = "SKOPOS_LOG_FORMAT")]
    pub log_format: Format,
}

/// The roles that run today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// All of it on one host, without Kubernetes or AWS.
    All,
    /// Reads one machine and sends what it reads to every cluster replica; keeps last values only.
    Node,
    /// One of two replicas that receive, keep, evaluate, tell and serve.
    Cluster,
}

impl Role {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Node => "node",
            Self::Cluster => "cluster",
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Validate a configuration file and the rule files it names, or a rule file.
    ///
    /// Also says what the configuration comes to, and how what is in the data directory stands to its retention and to
    /// the room on the disk; the directory is only read.
    Check {
        /// Also ask each receiver whether it is there and knows us. Nobody is told anything: Slack's app is asked whose
        /// its token is, Slack's webhook is sent an empty message, which it refuses, PagerDuty the end of an incident that
        /// it does not have; other webhooks get a GET. Ends with 1 when one does not answer as it should.
        #[arg(long)]
        live: bool,
        /// skopos.yaml, a file with `groups:` or `slos:`, or Alertmanager's file.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Ask a running Skopos, any Prometheus, or a data directory a question in PromQL.
    ///
    /// With --data-dir on the command line the directory itself is asked, read only: that of a Skopos, also while it
    /// runs, or any with blocks of a Prometheus. Not seen there: what a running Skopos has taken in its last moment and
    /// not yet written to its log; what `history: none` keeps in memory only; what a Prometheus has in its own log, its
    /// last two to three hours.
    Query(QueryArgs),
    /// Say why an alert fires, or why it does not.
    ///
    /// Shows the last evaluations of its rule with the value of every operator, when it was pending and firing, what
    /// keeps it quiet, and where its messages went. Ends with 1 when there is no such rule, or nobody answers.
    Explain(ExplainArgs),
    /// Say where alerts go, and where one with given labels would.
    ///
    /// Prints the routes of a configuration or of a routing file in Alertmanager's form, and with labels those that such an
    /// alert takes, with whom it shares a message and when it is told. Ends with 0, with 1 when it goes elsewhere than
    /// --expect says, and with 64 when the file has mistakes.
    Routes(RoutesArgs),
    /// Say what each room of a running Skopos needs, whether it has it, and what to do.
    ///
    /// Targets that are down, rules over metrics that nobody has, receivers that refuse, disks that fill up, and more; see
    /// agent/doctor.md for each. Ends with 0 when nothing fails, with 1 when something does, and with 2 when nobody answers.
    Doctor(DoctorArgs),
    /// Say how often, when and for how long the alerts of rule files would have fired.
    ///
    /// Goes through what a running Skopos, any Prometheus or a data directory (--data-dir on the command line) has kept,
    /// with the same evaluation as alive: groups in their slots, recorded series for those that read them, `for`,
    /// `keep_firing_for`. Ends with 1 when there is no history, and with 64 when a rule file is wrong.
    Backtest(BacktestArgs),
    /// Search the kept log lines, also while Skopos runs.
    Logs(LogsArgs),
    /// Show the rooms of a running Skopos and the queues between them, with what is in them right now.
    Graph(GraphArgs),
    /// Run test files.
    #[command(subcommand)]
    Test(TestCommand),
    /// Look in files for what cannot be meant.
    #[command(subcommand)]
    Lint(LintCommand),
    /// Objectives in short form.
    #[command(subcommand)]
    Slo(SloCommand),
    /// What of AWS is watched, for whom and for how much; and what it takes to be allowed to.
    #[command(subcommand, name = "cloudwatch")]
    CloudWatch(CloudWatchCommand),
    /// Turn another program's configuration into one of ours.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Print a line with a fresh token for a tokens file (`web.tokens_file`).
    Token {
        /// What its bearer may do: node (send one node's samples), replica (be the other replica), writer (send
        /// samples of anything, as a Prometheus does), reader (read the last log lines of pods).
        #[arg(value_name = "ROLE", value_parser = ["node", "replica", "writer", "reader"])]
        role: String,
        /// Name of the node, replica, writer or reader: letters, digits, `.`, `_` and `-`.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Give a folder to a user, before an agent starts that is not root.
    ///
    /// For the first moments of a pod: a folder that the kubelet makes on the node belongs to root. What is in it belongs to the
    /// user as well afterwards; links are not followed. Does nothing where all of it does already.
    Own {
        /// Number of the user.
        #[arg(long, value_name = "UID")]
        user: u32,
        /// Number of the group.
        #[arg(long, value_name = "GID")]
        group: u32,
        /// The folder; it is made if it is not there.
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// Print the completions of a shell.
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Subcommand)]
pub enum TestCommand {
    /// Test scripts in the format of Prometheus' own (`promql/promqltest/testdata/*.test`).
    ///
    /// Prints a verdict for each evaluation and a count at the end; ends with 1 when one fails. An evaluation of series
    /// that hold native histograms is skipped, and the reason printed.
    Promql(ScriptsArgs),
    /// Unit tests of rules, in the format of `promtool test rules`.
    ///
    /// Prints a verdict for each test group, with what was expected and what was got, and a count at the end; ends with 1
    /// when one fails or a file cannot be read. Tests that promtool can read have its verdicts; beyond it, alerts may be
    /// named in part (`partial`) or while they are pending (`exp_pending`), and groups may run at their own interval
    /// (`use_group_interval`). Native histograms are not evaluated: a test of them fails, and says so.
    Rules(UnitArgs),
    /// Send each receiver of a configuration a message that says that it is a test.
    ///
    /// It is over already, so nobody is paged for good: PagerDuty is sent the end of an incident that it does not have. No
    /// running Skopos is needed or asked. Prints what each receiver answered; ends with 1 when one did not take it or there
    /// is none, and with 64 when the file has mistakes.
    Receivers {
        /// skopos.yaml, or Alertmanager's file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Only these, as `skopos routes` or the page names them; all when left out.
        #[arg(value_name = "RECEIVER")]
        receivers: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum CloudWatchCommand {
    /// Say what would be asked for, how often, for whom, and for how many dollars a month.
    ///
    /// Describes what is there, which costs nothing, and plans; no metric is bought, whatever `cloudwatch.enabled` says. Ends
    /// with 0, with 1 when what wakes people alone costs more than `cloudwatch.max_usd_per_month`, with 2 when AWS cannot be
    /// asked, and with 64 when the file has mistakes.
    Plan(CloudWatchPlanArgs),
    /// Print the least IAM policy that lets all of it be asked.
    Policy {
        /// As a data source of Terraform instead of JSON.
        #[arg(long)]
        terraform: bool,
        /// Also what `cloudwatch.interruption_queue` needs, for the queue with this URL.
        #[arg(long, value_name = "URL", value_parser = queue)]
        interruption_queue: Option<cloudwatch::Queue>,
    },
}

fn queue(url: &str) -> Result<cloudwatch::Queue, String> {
    let expected = "expected https://sqs.<region>.amazonaws.com/<account>/<name>";
    cloudwatch::Queue::at(url).ok_or_else(|| expected.to_owned())
}

#[derive(Debug, Args)]
pub struct CloudWatchPlanArgs {
    /// skopos.yaml; built-in defaults when left out.
    #[arg(value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What a line stands for: who wants it, a series, or a resource.
    #[arg(long, value_enum, default_value_t = Lines::Alert)]
    pub by: Lines,
    /// Another configuration: says what is more with it, and what is less.
    #[arg(long, value_name = "FILE")]
    pub diff: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lines {
    /// An alert, a recording, a dashboard.
    Alert,
    Series,
    Resource,
}

#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// A configuration of YACE (yet-another-cloudwatch-exporter) into a section `cloudwatch`.
    ///
    /// The section goes to standard output; what could not be carried over, and what it costs before and after, to standard
    /// error. Ends with 0, with 2 when AWS cannot be asked, and with 64 when the file has mistakes.
    Yace {
        /// YACE's file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Its `-scraping-interval`: how often it asks for all series.
        #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = interval)]
        scraping_interval: Duration,
        /// Ask AWS what is there, for free, and say what all of it costs; otherwise what one resource costs.
        #[arg(long)]
        live: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum SloCommand {
    /// Print the recording rules and alerts that a file of objectives comes to, as plain Prometheus rules.
    ///
    /// Skopos takes such a file directly, in `rule_files`; this is for any other Prometheus. Ends with 64 when the file has
    /// mistakes.
    Render {
        /// A file with `slos:`.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum LintCommand {
    /// Rules: metrics that nobody has seen, sides that never match, counters without a rate, alerts that always fire.
    ///
    /// Says place, gravity, check, what is wrong and what to do. Series are looked for with --url or, on the command line,
    /// --data-dir; without either that part is left out, and said so. Ends with 0 when nothing is as grave as --fail-on,
    /// with 1 when something is, and with 2 when a file cannot be read or nobody answers. A comment
    /// `# skopos: disable CHECK` in or above a rule silences a check.
    Rules(LintArgs),
}

#[derive(Debug, Args)]
pub struct LintArgs {
    /// Rule files. What one records is known to the others.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// A running Skopos or any Prometheus, which is asked for series, types and intervals.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The data directory that is looked into: --data-dir, when that stands on the command line.
    #[arg(skip)]
    pub data_dir: Option<PathBuf>,
    /// Configuration that the rules are for: intervals, external labels, retention.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Time between two scrapes, of whatever target; 15s when nobody says so.
    #[arg(long, value_name = "DURATION", value_parser = model::text::duration::parse)]
    pub interval: Option<Duration>,
    /// End with 1 when something is as grave as this: info, warning, bug.
    #[arg(long, value_name = "SEVERITY", default_value = "bug", value_parser = severity)]
    pub fail_on: Severity,
    /// Show what is as grave as this; the rest is counted.
    #[arg(long, value_name = "SEVERITY", default_value = "info", value_parser = severity)]
    pub min_severity: Severity,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct UnitArgs {
    /// Unit tests, which name their rule files.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Only test groups whose name matches; with several, any of them.
    #[arg(long, value_name = "REGEX")]
    pub run: Vec<regex::Regex>,
    /// Write the verdicts to a file, in JUnit's XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Print failures and the count only.
    #[arg(long)]
    pub failures: bool,
}

#[derive(Debug, Args)]
pub struct ScriptsArgs {
    /// Scripts of `load`, `eval` and `clear`.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Print failures and the count only.
    #[arg(short, long)]
    pub quiet: bool,
    /// Take metric names away at each operation, as a running Prometheus does, and not at the end of an evaluation, as
    /// its test scripts expect.
    #[arg(long)]
    pub names_go_at_once: bool,
}

#[derive(Debug, Args)]
pub struct QueryArgs {
    /// For example 'rate(node_cpu_seconds_total[5m])'.
    #[arg(value_name = "EXPR")]
    pub expr: String,
    /// Where it serves its API; http://127.0.0.1:9464 when left out.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The data directory that is asked instead of a process: --data-dir, when that stands on the command line.
    #[arg(skip)]
    pub data_dir: Option<PathBuf>,
    /// At this time instead of now: seconds since 1970 or RFC 3339.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["since", "start", "end", "step"])]
    pub time: Option<String>,
    /// The last 1h, 6h, 7d.
    #[arg(long, value_name = "DURATION", value_parser = model::text::duration::parse, conflicts_with = "start")]
    pub since: Option<Duration>,
    /// Start of a range.
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,
    /// End of a range; now when left out.
    #[arg(long, value_name = "TIME")]
    pub end: Option<String>,
    /// Between two points of a range; a 250th of it when left out.
    #[arg(long, value_name = "DURATION", value_parser = model::text::duration::parse)]
    pub step: Option<Duration>,
    /// How the answer is printed; a plot for a range and a table for the rest when left out.
    #[arg(short, long, value_name = "SHAPE", value_enum)]
    pub output: Option<Shape>,
    /// How long to wait for the answer.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = model::text::duration::parse)]
    pub timeout: Duration,
}

#[derive(Debug, Args)]
pub struct RoutesArgs {
    /// skopos.yaml, or Alertmanager's file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Labels of an alert, for example alertname=Down severity=page.
    #[arg(value_name = "NAME=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// The receivers that it has to go to, in their order.
    #[arg(long, value_name = "RECEIVER", value_delimiter = ',', requires = "labels")]
    pub expect: Vec<String>,
    /// Which hours keep messages back then: seconds since 1970 or RFC 3339; now when left out.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Name of the alert, of a recorded metric, or the id that /api/v1/rules gives a rule.
    #[arg(value_name = "ALERT")]
    pub name: String,
    /// Where a Skopos serves its API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9464")]
    pub url: String,
    /// Only rules and alerts with these labels, for example instance=web1,severity=critical.
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',', value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// How many of the last evaluations, 50 at most.
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 5)]
    pub evaluations: usize,
    /// How far back the timeline goes.
    #[arg(long, value_name = "DURATION", default_value = "6h", value_parser = model::text::duration::parse)]
    pub since: Duration,
    /// Also print the series behind each operator, the first five of them.
    #[arg(short, long)]
    pub verbose: bool,
    /// As JSON: a list, with what the API says of each rule.
    #[arg(long, conflicts_with = "as_test")]
    pub json: bool,
    /// Print a unit test (`skopos test rules`, `promtool test rules`) with the series that were read and what fired. Ends
    /// with 1, and says where, when the rules do not come to the same over these series.
    #[arg(long)]
    pub as_test: bool,
    /// Write the rules as the process has them to this file, and name it in the test in the place of theirs.
    #[arg(long, value_name = "FILE", requires = "as_test")]
    pub with_rules: Option<PathBuf>,
    /// How long to wait for an answer.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = model::text::duration::parse)]
    pub timeout: Duration,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Where a Skopos serves its API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9464")]
    pub url: String,
    /// Also let it ask each receiver whether it is there and knows us, as `skopos check --live` does. Nobody is told
    /// anything.
    #[arg(long)]
    pub live: bool,
    /// As JSON: all checks, with what the API says of each.
    #[arg(long)]
    pub json: bool,
    /// How long to wait for the answer.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = model::text::duration::parse)]
    pub timeout: Duration,
}

#[derive(Debug, Args)]
pub struct BacktestArgs {
    /// Rule files. What they record stands in the place of what history has under the same name.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Where it serves its API; http://127.0.0.1:9464 when left out.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The data directory that is gone through instead: --data-dir, when that stands on the command line.
    #[arg(skip)]
    pub data_dir: Option<PathBuf>,
    /// The last 6h, 7d, 30d.
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = model::text::duration::parse, conflicts_with = "start")]
    pub since: Duration,
    /// From then: seconds since 1970 or RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,
    /// Until then; now when left out.
    #[arg(long, value_name = "TIME")]
    pub end: Option<String>,
    /// Only alerts whose name matches, and what they need; with several, any of them.
    #[arg(long, value_name = "REGEX")]
    pub run: Vec<regex::Regex>,
    /// Print each time an alert was pending or fired, with its labels.
    #[arg(short, long)]
    pub verbose: bool,
    /// As JSON, with all of these.
    #[arg(long)]
    pub json: bool,
    /// Interval of groups that name none, `global.evaluation_interval` of the configuration.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = interval)]
    pub evaluation_interval: Duration,
    /// Offset of groups that name none, `global.rule_query_offset` of the configuration.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = model::text::duration::parse)]
    pub query_offset: Duration,
    /// Evaluated before the start, so that what began earlier is known; as much as the rules need, and a day at most, when
    /// left out.
    #[arg(long, value_name = "DURATION", value_parser = model::text::duration::parse)]
    pub warm_up: Option<Duration>,
    /// Samples that are held at a time, about 16 bytes each; what is more is asked for in parts.
    #[arg(long, value_name = "COUNT", default_value_t = 20_000_000)]
    pub samples_max: usize,
    /// How long to wait for one answer.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = model::text::duration::parse)]
    pub timeout: Duration,
    /// Ask at every slot by itself: much slower, and the same comes out.
    #[arg(long, hide = true)]
    pub one_by_one: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    Table,
    /// The `data` of the answer as it came.
    Json,
    Plot,
}

#[derive(Debug, Args)]
pub struct GraphArgs {
    /// Where it serves its page.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9464")]
    pub url: String,
    /// The house of a role as it is built, without asking a running one.
    #[arg(long, value_name = "ROLE", value_enum)]
    pub plan: Option<Role>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LogsArgs {
    #[command(subcommand)]
    pub command: Option<LogsCommand>,
    /// Words that must all occur in a line; case does not matter. The word verify goes behind --.
    pub text: Vec<String>,
    /// How far back to look: 15m, 2h, 7d.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = model::text::duration::parse)]
    pub since: Duration,
    /// Wait for new lines.
    #[arg(short, long)]
    pub follow: bool,
    /// Only lines at least this grave: debug, info, warn, error, fatal.
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub level: Option<Level>,
    /// Only lines in which this regular expression matches; (?i) in front of it ignores case.
    #[arg(short = 'e', long, value_name = "PATTERN", default_value = "", hide_default_value = true, value_parser = pattern)]
    pub regex: String,
    /// Only sources whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub source: String,
    /// Only containers of this namespace.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub namespace: String,
    /// Only pods whose name begins with this; a Deployment's name finds its pods.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub pod: String,
    /// Only containers of this name.
    #[arg(
        short = 'c',
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub container: String,
    /// Lines printed at most, the newest.
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 1000)]
    pub lines: usize,
    /// Lines of the same source before and after each found one; of at most the newest 200 found.
    #[arg(
        short = 'C',
        long,
        value_name = "COUNT",
        default_value_t = 0,
        hide_default_value = true,
        conflicts_with = "follow"
    )]
    pub context: usize,
    /// A JSON object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum LogsCommand {
    /// Compare log files with what a sink holds of them.
    ///
    /// Says for each file how many of its records are there, missing, there twice, not acknowledged yet, or never taken, with
    /// the lines where they are. No running Skopos is needed or asked. Ends with 0 when every record is there once, with 1
    /// when one is not, and with 2 when a file cannot be read or the sink does not answer.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Log files; those of a pod may be named by --namespace and --pod instead.
    #[arg(value_name = "FILE", required_unless_present = "pod")]
    pub files: Vec<PathBuf>,
    /// Where the sinks stand; without it only the lines that are kept on this host are compared.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The sink: segments, or the name of one of logs.opensearch. All when left out.
    #[arg(long, value_name = "NAME")]
    pub sink: Option<String>,
    /// The pod's namespace.
    #[arg(long, value_name = "NAME", requires = "pod", default_value = "default")]
    pub namespace: String,
    /// All files of this pod.
    #[arg(long, value_name = "NAME")]
    pub pod: Option<String>,
    /// Of this container of it only.
    #[arg(
        short = 'c',
        long,
        value_name = "NAME",
        requires = "pod",
        default_value = "",
        hide_default_value = true
    )]
    pub container: String,
    /// This machine's name as the running process has it, where that is another.
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// A JSON object for each file and sink.
    #[arg(long)]
    pub json: bool,
}

fn pattern(text: &str) -> Result<String, String> {
    match regex::Regex::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl Cli {
    /// What was typed.
    ///
    /// # Errors
    /// What is wrong with it, or the help that was asked for; [`clap::Error::print`] says it.
    pub fn typed() -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches()?;
        let mut cli = Self::from_arg_matches(&matches)?;
        // The environment names the data directory of who runs, which is asked as a process.
        let named = matches.value_source("data_dir") == Some(ValueSource::CommandLine);
        let asked = match cli.command.as_mut() {
            Some(Command::Query(arguments)) => Some((&arguments.url, &mut arguments.data_dir)),
            Some(Command::Lint(LintCommand::Rules(arguments))) => {
                Some((&arguments.url, &mut arguments.data_dir))
            }
            Some(Command::Backtest(arguments)) => Some((&arguments.url, &mut arguments.data_dir)),
            _ => None,
        };
        if let Some((url, data_dir)) = asked.filter(|_| named) {
            if url.is_some() {
                let why = "either a process is asked, with --url, or a directory, with --data-dir";
                return Err(Self::command().error(ErrorKind::ArgumentConflict, why));
            }
            *data_dir = Some(cli.run.data_dir.clone());
        }
        Ok(cli)
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let found = model::text::duration::parse(text)?;
    if found.is_zero() {
        return Err("an interval is longer than nothing; write for example 15s or 1m".to_owned());
    }
    Ok(found)
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is no label; write for example instance=web1"))?;
    Ok((name.trim().to_owned(), value.trim_matches('"').to_owned()))
}

fn level(text: &str) -> Result<Level, String> {
    let all = [
        Level::Trace,
        Level::Debug,
        Level::Info,
        Level::Warn,
        Level::Error,
        Level::Fatal,
    ];
    let found = all
        .into_iter()
        .find(|level| level.word().eq_ignore_ascii_case(text));
    found.ok_or_else(|| format!("{text:?} is no level; use trace, debug, info, warn, error or fatal"))
}

fn severity(text: &str) -> Result<Severity, String> {
    let found = Severity::ALL.into_iter().find(|severity| severity.word() == text);
    found.ok_or_else(|| format!("{text:?} is no severity; use info, warning or bug"))
}

#[must_use]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
