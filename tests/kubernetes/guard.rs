//! Starts programs that end with whoever started them, in whatever way that ends.
//!
//! A shell stands between the two and holds the reading end of a pipe: when nobody holds the other end any more, it kills the
//! program, stopped or not, and then does what it has been told to do.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// `$1` takes the program's process id, `$2` is done when it has been let go of; the rest is the program.
const SHELL: &str = r#"
number=$1 afterwards=$2; shift 2
exec 3<&0
"$@" </dev/null 3<&- & program=$!
echo "$program" >"$number"
cat <&3 >/dev/null & pipe=$!
wait -n -p ended "$program" "$pipe"
kill -9 "$program" "$pipe" 2>/dev/null
wait "$program" 2>/dev/null
[ "$ended" = "$program" ] || eval "$afterwards"
"#;

pub(crate) struct Guarded {
    shell: Child,
    number: PathBuf,
    log: PathBuf,
    enter: Vec<OsString>,
}

impl Guarded {
    /// Its log and its process id are files of the folder. `enter` is what its command line begins with, its guard's too;
    /// `afterwards` is of the shell.
    ///
    /// # Panics
    /// It cannot be started.
    pub(crate) fn start(
        folder: &Path,
        name: &str,
        enter: &[OsString],
        afterwards: &str,
        words: &[OsString],
    ) -> Self {
        let path = folder.join(format!("{name}.log"));
        let log = File::options().append(true).create(true).open(&path);
        let log = log.expect("its log is written");
        let number = folder.join(format!("{name}.pid"));
        drop(fs::remove_file(&number));
        let line = ["bash", "-c", SHELL, name].map(OsString::from).into_iter();
        let line = line.chain([number.clone().into_os_string(), afterwards.into()]);
        let mut line = enter.iter().cloned().chain(line).chain(words.iter().cloned());
        let shell = Command::new(line.next().unwrap_or_default())
            .args(line)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("its log is written"))
            .stderr(log)
            // An interrupt from the keyboard is not for it: it would not clean up.
            .process_group(0)
            .spawn()
            .expect("bash starts");
        Self {
            shell,
            number,
            log: path,
            enter: enter.to_vec(),
        }
    }

    /// The program itself, not its guard; none in its first moment.
    pub(crate) fn process(&self) -> Option<Pid> {
        let text = fs::read_to_string(&self.number).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let Some(process) = self.process() else { return };
        let Some((first, rest)) = self.enter.split_first() else {
            return kill_process(process, signal).expect("it can be signalled");
        };
        // Its number is one of a world of its own.
        let signal = format!("-{}", signal.as_raw());
        let mut kill = Command::new(first);
        kill.args(rest).args(["kill", &signal]);
        let (code, said) = programs::run(kill.arg(process.as_raw_nonzero().to_string()));
        assert_eq!(code, 0, "{said}");
    }

    /// An error, with the end of what it has printed, if it has ended by itself.
    pub(crate) fn lives(&mut self) -> Result<(), String> {
        match self.shell.try_wait() {
            Ok(None) => Ok(()),
            _ => Err(format!(
                "{} ends with it:\n{}",
                self.log.display(),
                end_of(&self.log)
            )),
        }
    }

    /// As if whoever started it had ended; it is not waited for.
    #[cfg(test)]
    pub(crate) fn let_go(&mut self) {
        drop(self.shell.stdin.take());
    }
}

/// The last lines of a log.
pub(crate) fn end_of(log: &Path) -> String {
    const LINES: usize = 40;
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let end = lines.get(lines.len().saturating_sub(LINES)..);
    end.unwrap_or_default().join("\n")
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}
