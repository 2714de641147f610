//! What `skopos doctor` is told of the log lines: which files cannot be read and why, and whether lines are kept.

use model::text::bytes;
use model::view::{Checkup, LogFile, LogInput, LogJournal, LogService, LogSink, LogState};

use crate::Handle;

const ROOM: &str = "logs";
/// Text that is not read yet beyond which reading is behind.
const BEHIND_BYTES: u64 = 64 << 20;

impl Handle {
    #[must_use]
    pub fn checkups(&self) -> Vec<Checkup> {
        let state = self.state();
        let mut checkups = vec![files(&state.files)];
        checkups.extend(state.sinks.iter().map(kept));
        checkups.extend(state.inputs.iter().map(|input| taken(input, &state)));
        checkups.extend(state.journal.iter().map(journal));
        checkups.extend(state.services.iter().map(read));
        checkups
    }
}

fn files(all: &[LogFile]) -> Checkup {
    const NAME: &str = "files";
    if all.is_empty() {
        return Checkup::off(ROOM, NAME, "none of the files in logs.files is there");
    }
    let (read, wrong): (Vec<&LogFile>, Vec<&LogFile>) = all.iter().partition(|file| file.error.is_empty());
    if !wrong.is_empty() {
        return Checkup::warn(
            ROOM,
            NAME,
            format!("{} of {} cannot be read", wrong.len(), all.len()),
        )
        .advise("let this user read them (the group adm on Debian), or name them in logs.exclude")
        .list(wrong.iter().map(|file| format!("{}: {}", file.path, file.error)));
    }
    let left = |file: &LogFile| file.size_bytes.saturating_sub(file.offset_bytes);
    let behind: u64 = read.iter().map(|file| left(file)).sum();
    if behind > BEHIND_BYTES {
        let mut far: Vec<&LogFile> = read.into_iter().filter(|file| left(file) > 0).collect();
        far.sort_by_key(|file| std::cmp::Reverse(left(file)));
        return Checkup::warn(ROOM, NAME, format!("{} are not read yet", bytes(behind as f64)))
            .advise("more is written than the disk takes; what rotates away unread is lost")
            .list(
                far.iter()
                    .map(|file| format!("{}: {}", file.path, bytes(left(file) as f64))),
            );
    }
    Checkup::ok(
        ROOM,
        NAME,
        match all.len() {
            1 => "1 file is followed".to_owned(),
            count => format!("{count} files are followed"),
        },
    )
}

fn kept(sink: &LogSink) -> Checkup {
    let name = sink.kind;
    if let Some(trouble) = &sink.trouble {
        let waiting = format!(
            "{} takes nothing: {trouble}; {} wait in the log files",
            sink.name,
            bytes(sink.unread_bytes)
        );
        return match &sink.target {
            None => Checkup::fail(ROOM, name, "log lines cannot be written, and reading waits")
                .advise("make room on the disk of the data directory, or make it writable; the log says more"),
            Some(_) if ["stdout", "file"].contains(&name) => Checkup::fail(ROOM, name, waiting)
                .advise("see that somebody reads it, or that its disk has room; what rotates away before that is lost"),
            Some(target) => Checkup::fail(ROOM, name, waiting).advise(format!(
                "see whether {target} answers and takes our credentials; what rotates away before it does is lost"
            )),
        };
    }
    let lost: u64 = sink.lost().map(|(_, count)| count).sum();
    if lost > 0 {
        return Checkup::warn(ROOM, name, format!("{lost} lines were let go since the start"))
            .advise("the runbook of SkoposLogLinesDropped says what each reason means")
            .list(sink.lost().map(|(reason, count)| format!("{reason}: {count}")));
    }
    Checkup::ok(
        ROOM,
        name,
        match &sink.target {
            None => "every line that was read is kept".to_owned(),
            Some(target) => format!(
                "{} at {target} has taken {} lines, {} are on their way",
                sink.name, sink.lines, sink.in_flight
            ),
        },
    )
    .list(sink.notes.iter().cloned())
}

fn taken(input: &LogInput, state: &LogState) -> Checkup {
    const NAME: &str = "forward";
    let spool = format!(
        "{} of {} are in the spool",
        bytes(state.spool_bytes as f64),
        bytes(state.spool_bytes_max as f64)
    );
    if let Some(trouble) = &input.trouble {
        return Checkup::fail(
            ROOM,
            NAME,
            format!("senders are kept waiting: {trouble}; {spool}"),
        )
        .advise(
            "the sink that is behind is named above; make room on the disk, or raise logs.spool_bytes_max",
        );
    }
    let refused: u64 = input.refused.iter().map(|(_, count)| count).sum();
    if refused > 0 {
        return Checkup::warn(
            ROOM,
            NAME,
            match refused {
                1 => "a connection of a sender was closed since the start".to_owned(),
                _ => format!("{refused} connections of senders were closed since the start"),
            },
        )
        .advise("agent/logs/forward.md says what each reason means; the log names the senders")
        .list(
            input
                .refused
                .iter()
                .map(|(reason, count)| format!("{reason}: {count}")),
        );
    }
    Checkup::ok(
        ROOM,
        NAME,
        format!(
            "{} has taken {} records, {} connections are open, {spool}",
            input.address, input.records, input.connections
        ),
    )
}

fn journal(journal: &LogJournal) -> Checkup {
    const NAME: &str = "journal";
    let LogJournal { from, entries, .. } = journal;
    if let Some(trouble) = &journal.trouble {
        return Checkup::fail(ROOM, NAME, format!("{from}: {trouble}")).advise(
            "agent/logs/journal.md says what it takes to read the journal; it keeps its entries for as long as its own limits say",
        );
    }
    if journal.missing > 0 {
        let seen = format!(
            "the journal had deleted {} entries before they were read",
            journal.missing
        );
        return Checkup::warn(ROOM, NAME, seen)
            .advise("let it keep more (SystemMaxUse in journald.conf), or see which sink is behind");
    }
    let malformed = journal.skipped.iter().find(|(reason, _)| reason == "malformed");
    if let Some((_, count)) = malformed {
        return Checkup::warn(
            ROOM,
            NAME,
            format!("{count} times something that {from} printed was no entry, and was left out"),
        )
        .advise("`journalctl --verify` says whether the journal is damaged");
    }
    if *entries == 0 && !journal.remark.is_empty() {
        return Checkup::warn(
            ROOM,
            NAME,
            format!("no entry came yet from {from}: {}", journal.remark),
        )
        .advise("let this user read the journal: the group systemd-journal");
    }
    let read = match entries {
        1 => "1 entry was read".to_owned(),
        count => format!("{count} entries were read"),
    };
    Checkup::ok(ROOM, NAME, format!("{read} from {from}"))
}

fn read(service: &LogService) -> Checkup {
    const NAME: &str = "log groups";
    let LogService { name, region, .. } = service;
    if !service.troubles.is_empty() {
        let told = service.troubles.iter().map(|(group, why)| match group.as_str() {
            "" => why.clone(),
            group => format!("{group}: {why}"),
        });
        let seen = match service.troubles.iter().any(|(group, _)| group.is_empty()) {
            true => format!("{name}: no log group can be read"),
            false => format!(
                "{name}: {} of {} log groups cannot be read",
                service.troubles.len(),
                service.groups
            ),
        };
        return Checkup::fail(ROOM, NAME, seen)
            .advise("see that we have the rights logs:DescribeLogGroups and logs:FilterLogEvents; what AWS still has when that is set right is read")
            .list(told);
    }
    if !service.reads {
        return Checkup::ok(ROOM, NAME, format!("{name}: the other replica reads them"));
    }
    Checkup::ok(
        ROOM,
        NAME,
        format!(
            "{name}: {} events of {} log groups in {region} were read",
            service.events, service.groups
        ),
    )
}

#[cfg(test)]
mod tests {
    use model::view::{Health, Verdict};

    use super::*;

    fn file(error: &str, left: u64) -> LogFile {
        LogFile {
            path: "/var/log/syslog".to_owned(),
            health: Health::Good,
            error: error.to_owned(),
            size_bytes: left + 10,
            offset_bytes: 10,
            last: None,
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_its_reason() {
        let told = files(&[file("", 0), file("permission denied", 0)]);
        assert_eq!(told.verdict, Verdict::Warn);
        assert_eq!(told.findings, ["/var/log/syslog: permission denied"]);
        assert_eq!(files(&[file("", 5)]).verdict, Verdict::Ok);
        assert_eq!(files(&[file("", BEHIND_BYTES + 1)]).verdict, Verdict::Warn);
        assert_eq!(files(&[]).verdict, Verdict::Off);
    }

    #[test]
    fn senders_that_wait_fail_and_senders_that_were_refused_warn() {
        let state = LogState {
            spool_bytes: 1 << 20,
            spool_bytes_max: 1 << 30,
            ..LogState::default()
        };
        let input = LogInput {
            address: "127.0.0.1:24224".to_owned(),
            ..LogInput::default()
        };
        let told = taken(&input, &state);
        assert_eq!(told.verdict, Verdict::Ok);
        assert!(told.seen.contains("127.0.0.1:24224"), "{told:?}");
        let refused = LogInput {
            refused: vec![("unknown".to_owned(), 2)],
            ..input.clone()
        };
        let told = taken(&refused, &state);
        assert_eq!(
            (told.verdict, told.findings),
            (Verdict::Warn, vec!["unknown: 2".to_owned()])
        );
        let waiting = LogInput {
            trouble: Some("the spool is full".to_owned()),
            ..refused
        };
        let told = taken(&waiting, &state);
        assert_eq!(told.verdict, Verdict::Fail);
        assert!(told.seen.contains("the spool is full"), "{told:?}");
    }

    #[test]
    fn a_journal_that_is_not_read_fails_and_one_that_deleted_too_soon_warns() {
        let well = LogJournal {
            from: "journalctl".to_owned(),
            entries: 7,
            remark: "Hint: …".to_owned(),
            ..LogJournal::default()
        };
        let told = journal(&well);
        assert_eq!(
            (told.verdict, told.seen.as_str()),
            (Verdict::Ok, "7 entries were read from journalctl")
        );
        let verdict = |change: fn(&mut LogJournal)| {
            let mut state = well.clone();
            change(&mut state);
            journal(&state).verdict
        };
        assert_eq!(verdict(|state| state.entries = 0), Verdict::Warn, "it says why");
        assert_eq!(verdict(|state| state.missing = 1), Verdict::Warn);
        assert_eq!(
            verdict(|state| state.skipped = vec![("malformed".to_owned(), 1)]),
            Verdict::Warn
        );
        assert_eq!(
            verdict(|state| state.skipped = vec![("filtered".to_owned(), 1)]),
            Verdict::Ok
        );
        assert_eq!(
            verdict(|state| state.trouble = Some("gone".to_owned())),
            Verdict::Fail
        );
    }

    #[test]
    fn log_groups_that_cannot_be_read_are_named() {
        let service = |troubles: &[(&str, &str)], reads| LogService {
            name: "rds".to_owned(),
            region: "eu-west-1".to_owned(),
            reads,
            groups: 3,
            events: 7,
            troubles: troubles
                .iter()
                .map(|(group, why)| ((*group).to_owned(), (*why).to_owned()))
                .collect(),
        };
        let well = read(&service(&[], true));
        assert_eq!(
            (well.verdict, well.seen.as_str()),
            (
                Verdict::Ok,
                "rds: 7 events of 3 log groups in eu-west-1 were read"
            )
        );
        assert!(read(&service(&[], false)).seen.contains("other replica"));
        let one = read(&service(&[("/a", "gone")], true));
        assert_eq!(
            (one.verdict, one.findings.as_slice()),
            (Verdict::Fail, &["/a: gone".to_owned()][..])
        );
        assert!(
            read(&service(&[("", "who are you")], true))
                .seen
                .contains("no log group")
        );
    }

    #[test]
    fn lines_that_cannot_be_kept_fail() {
        let sink = |trouble: Option<&str>, dropped: u64| LogSink {
            name: "opensearch".to_owned(),
            kind: "opensearch",
            target: Some("http://search:9200".to_owned()),
            trouble: trouble.map(str::to_owned),
            dropped: [("dead_letter".to_owned(), dropped)]
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .collect(),
            ..LogSink::default()
        };
        assert_eq!(kept(&sink(None, 0)).verdict, Verdict::Ok);
        assert_eq!(kept(&sink(None, 2)).verdict, Verdict::Warn);
        let wished = LogSink {
            dropped: vec![("excluded".to_owned(), 9), ("limited".to_owned(), 1)],
            ..sink(None, 0)
        };
        assert_eq!((kept(&wished).verdict, wished.left_out()), (Verdict::Ok, 10));
        let told = kept(&sink(Some("cannot connect"), 2));
        assert_eq!(told.verdict, Verdict::Fail);
        assert!(told.seen.contains("cannot connect"), "{told:?}");
        let here = LogSink {
            target: None,
            ..sink(Some("full"), 0)
        };
        assert_eq!(kept(&here).verdict, Verdict::Fail);
    }
}
