//! The program that prints the journal: started, read, and ended with whatever it has started itself.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// Of what it says beside entries, the last words are kept.
const WORDS_BYTES_MAX: usize = 1_024;
/// So long it may take to end once its output is closed.
const END_WAIT: Duration = Duration::from_secs(1);

pub(crate) struct Pipe {
    child: Child,
    out: Receiver,
    /// None when it is closed.
    err: Option<Receiver>,
    words: Vec<u8>,
}

/// What comes next.
pub(crate) enum Heard {
    /// So many bytes of entries.
    Bytes(usize),
    /// It has said something beside them.
    Words,
    End,
}

impl Pipe {
    /// Starts it; `more` is added to what the command has.
    ///
    /// # Errors
    /// A sentence that says what could not be started.
    pub(crate) fn start(command: &[String], more: &[String]) -> Result<Self, String> {
        let Some((program, arguments)) = command.split_first() else {
            return Err("no command to read the journal with".to_owned());
        };
        let start = || -> io::Result<Self> {
            let mut child = Command::new(program)
                .args(arguments)
                .args(more)
                // Its words are for our page, and nobody turns pages there.
                .env("LC_ALL", "C")
                .env("SYSTEMD_PAGER", "")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .process_group(0)
                .spawn()?;
            let closed = || io::Error::other("its output is closed");
            let out = OwnedFd::from(child.stdout.take().ok_or_else(closed)?);
            let err = OwnedFd::from(child.stderr.take().ok_or_else(closed)?);
            Ok(Self {
                out: Receiver::from_owned_fd(out)?,
                err: Some(Receiver::from_owned_fd(err)?),
                child,
                words: Vec::new(),
            })
        };
        start().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!(
                "there is no {program} here; set logs.journal.command, or logs.journal.url where a systemd-journal-gatewayd answers"
            ),
            _ => format!("{program} cannot be started: {error}"),
        })
    }

    /// Reads what comes next into `bytes`; nothing is lost when it is not waited for to its end.
    ///
    /// # Errors
    /// The kernel's own.
    pub(crate) async fn read(&mut self, bytes: &mut [u8]) -> io::Result<Heard> {
        let mut words = [0; 256];
        loop {
            let said = async {
                match &mut self.err {
                    Some(err) => err.read(&mut words).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                count = self.out.read(bytes) => return match count? {
                    0 => Ok(Heard::End),
                    count => Ok(Heard::Bytes(count)),
                },
                count = said => match count? {
                    0 => self.err = None,
                    count => {
                        self.words.extend_from_slice(words.get(..count).unwrap_or_default());
                        let surplus = self.words.len().saturating_sub(WORDS_BYTES_MAX);
                        self.words.drain(..surplus);
                        return Ok(Heard::Words);
                    }
                },
            }
        }
    }

    /// The last line it has said beside entries.
    pub(crate) fn words(&self) -> String {
        let text = String::from_utf8_lossy(&self.words);
        let mut lines = text.lines().map(str::trim);
        lines
            .rfind(|line| !line.is_empty())
            .unwrap_or_default()
            .to_owned()
    }

    /// How it has ended, once its output has.
    pub(crate) async fn farewell(mut self) -> Farewell {
        // What it said last may still be on its way.
        let mut rest = Vec::new();
        if let Some(err) = &mut self.err {
            let mut front = err.take(WORDS_BYTES_MAX as u64);
            let reading = front.read_to_end(&mut rest);
            _ = tokio::time::timeout(Duration::from_millis(200), reading).await;
        }
        self.words.extend_from_slice(&rest);
        Farewell {
            status: tokio::time::timeout(END_WAIT, self.ended())
                .await
                .unwrap_or_default(),
            words: self.words(),
        }
    }

    /// A program closes its output some moments before it can be asked how it ended.
    async fn ended(&mut self) -> Option<ExitStatus> {
        loop {
            match self.child.try_wait() {
                Ok(None) => tokio::time::sleep(Duration::from_millis(5)).await,
                Ok(status) => return status,
                Err(_) => return None,
            }
        }
    }
}

/// How the program ended, and its last words.
pub(crate) struct Farewell {
    /// None when it runs on with its output closed.
    status: Option<ExitStatus>,
    words: String,
}

impl Farewell {
    pub(crate) fn is_good(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

impl fmt::Display for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "it ended ({status})")?,
            None => f.write_str("it closed its output and goes on running")?,
        }
        match self.words.as_str() {
            "" => Ok(()),
            words => write!(f, ": {words}"),
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
                _ = kill_process_group(group, Signal::KILL);
            }
            _ = self.child.kill();
        }
        // It is dead, or about to be.
        _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Pipe {
        Pipe::start(&["sh".to_owned(), "-c".to_owned()], &[script.to_owned()]).unwrap()
    }

    #[tokio::test]
    async fn what_a_program_prints_comes_and_how_it_ended_is_told() {
        let mut pipe = shell("printf abc; echo 'no  journal' >&2; exit 3");
        let (mut bytes, mut all) = ([0; 2], Vec::new());
        loop {
            match pipe.read(&mut bytes).await.unwrap() {
                Heard::Bytes(count) => all.extend_from_slice(&bytes[..count]),
                Heard::Words => {}
                Heard::End => break,
            }
        }
        assert_eq!(all, b"abc");
        let told = pipe.farewell().await;
        assert!(!told.is_good());
        assert_eq!(told.to_string(), "it ended (exit status: 3): no  journal");
    }

    #[tokio::test]
    async fn one_that_closes_its_output_before_it_ends_has_still_failed() {
        let mut pipe = shell("exec >&-; sleep 0.1; exit 4");
        while !matches!(pipe.read(&mut [0; 2]).await.unwrap(), Heard::End) {}
        assert_eq!(pipe.farewell().await.to_string(), "it ended (exit status: 4)");
    }

    #[tokio::test]
    async fn it_ends_with_what_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let pipe = shell(&format!("sleep 1000 & echo $! > {}; wait", file.display()));
        let pid = loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            match text.trim().parse::<u32>() {
                Ok(pid) => break pid,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        };
        drop(pipe);
        let stat = format!("/proc/{pid}/stat");
        for _ in 0..400 {
            let text = std::fs::read_to_string(&stat).unwrap_or_default();
            if text.is_empty() || text.contains(") Z ") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("it is still there");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let told = runtime.block_on(async { Pipe::start(&["no-such-journalctl".to_owned()], &[]).err() });
        assert!(told.unwrap().contains("no no-such-journalctl here"));
    }
}
