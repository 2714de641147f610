//! `skopos`: configuration, house, signal, drain.

use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;
use model::outside::Role;
use skopos::cli::{
    self, Cli, CloudWatchCommand, Command, ImportCommand, LintCommand, LogsCommand, RunArgs, SloCommand,
    TestCommand,
};
use skopos::config::Config;
use skopos::{
    app, backtest, buying, check, doctor, explain, graph, lines, lint, memory, own, query, receivers, routes,
    scripts, slo, unit, verify, yace,
};

/// `EX_USAGE` of sysexits.h: what was asked for cannot be right, starting again will not help.
const BAD_CONFIGURATION: u8 = 64;
/// The configuration is fine and the machine is not: port taken, folder not writable.
const FAILED_START: u8 = 1;

fn main() -> ExitCode {
    let cli = match Cli::typed() {
        Ok(cli) => cli,
        Err(help) => {
            let failed = help.use_stderr();
            _ = help.print();
            return if failed {
                ExitCode::from(BAD_CONFIGURATION)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match cli.command {
        Some(Command::Check { live, files }) => check::run(&files, &cli.run.data_dir, live),
        Some(Command::Query(arguments)) => query::run(&arguments),
        Some(Command::Explain(arguments)) => explain::run(&arguments),
        Some(Command::Routes(arguments)) => routes::run(&arguments),
        Some(Command::Doctor(arguments)) => doctor::run(&arguments),
        Some(Command::Backtest(arguments)) => backtest::run(&arguments),
        Some(Command::Logs(arguments)) => match &arguments.command {
            Some(LogsCommand::Verify(asked)) => verify::run(&cli.run, asked),
            None => lines::run(&cli.run.data_dir, &arguments),
        },
        Some(Command::Graph(arguments)) => graph::run(&arguments),
        Some(Command::Test(TestCommand::Promql(arguments))) => scripts::run(&arguments),
        Some(Command::Test(TestCommand::Rules(arguments))) => unit::run(&arguments),
        Some(Command::Test(TestCommand::Receivers { file, receivers })) => receivers::run(&file, &receivers),
        Some(Command::Lint(LintCommand::Rules(arguments))) => lint::run(&arguments),
        Some(Command::Slo(SloCommand::Render { file })) => slo::render(&file),
        Some(Command::CloudWatch(CloudWatchCommand::Plan(arguments))) => buying::plan(&arguments),
        Some(Command::CloudWatch(CloudWatchCommand::Policy {
            terraform,
            interruption_queue,
        })) => buying::policy(terraform, interruption_queue.as_ref()),
        Some(Command::Import(ImportCommand::Yace {
            file,
            scraping_interval,
            live,
        })) => yace::import(&file, scraping_interval, live),
        Some(Command::Token { role, name }) => token(&role, &name),
        Some(Command::Own { user, group, folder }) => match own::own(&folder, user, group) {
            Ok(()) => ExitCode::SUCCESS,
            Err((path, error)) => say(FAILED_START, &format!("{}: {error}", path.display())),
        },
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "skopos", &mut script);
            _ = std::io::stdout().write_all(&script);
            ExitCode::SUCCESS
        }
        None => run(cli.run),
    }
}

fn run(arguments: RunArgs) -> ExitCode {
    if let Err(error) = telemetry::logs::start(arguments.log_format) {
        return say(BAD_CONFIGURATION, &error);
    }
    let config = match Config::load(arguments.config.as_deref(), arguments.listen) {
        Ok(config) => config,
        Err(complaints) => {
            let complaints: Vec<String> = complaints.iter().map(ToString::to_string).collect();
            return say(BAD_CONFIGURATION, &complaints.join("\n"));
        }
    };
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        return say(FAILED_START, "a TLS provider is already installed");
    }
    // Log lines and secrets of alerts are this user's alone: folders 0700, files 0600.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    if arguments.role == cli::Role::Node {
        memory::share_heaps();
    }
    match app::run(arguments, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => say(FAILED_START, &format!("{error:#}")),
    }
}

/// The token is for a file, so the line is all that is printed.
fn token(role: &str, name: &str) -> ExitCode {
    let role = match role {
        "node" => Role::Node,
        "replica" => Role::Replica,
        "reader" => Role::Reader,
        _ => Role::Writer,
    };
    match net::token::line(role, name) {
        Ok(line) => {
            _ = writeln!(std::io::stdout(), "{line}");
            ExitCode::SUCCESS
        }
        Err(error) => say(BAD_CONFIGURATION, &error),
    }
}

fn say(code: u8, what: &str) -> ExitCode {
    _ = writeln!(std::io::stderr(), "skopos: {what}");
    ExitCode::from(code)
}
