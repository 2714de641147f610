//! Stack traces by their looks: which line may have one below it, and which line is part of one.

use model::Level;

/// Where in a trace the last line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trace {
    /// A line that may have a trace below it.
    Head,
    /// Name of an exception, frames and causes: Java, .NET, Node.js, Ruby, PHP.
    Frames,
    /// Between `Traceback` and the exception, which comes last.
    Python,
    /// Behind the exception: another one may follow.
    PythonEnd,
    Go,
    Rust,
}

/// In front of a frame, a cause or what is left out.
const FRAMES: [&[u8]; 10] = [
    b"at ",
    b"Caused by: ",
    b"Suppressed: ",
    b"... ",
    b"--- End of ",
    b"---> ",
    b"Stack trace:",
    b"stack backtrace:",
    b"[cause]: ",
    b"from ",
];
/// In front of the name of an exception.
const UNCAUGHT: [&[u8]; 4] = [
    b"Uncaught ",
    b"Unhandled exception. ",
    b"Unhandled Exception: ",
    b"Unhandled ",
];
const EXCEPTIONS: [&[u8]; 4] = [b"Exception", b"Error", b"Throwable", b"Failure"];
const TRACEBACK: &[u8] = b"Traceback (most recent call last)";
const CHAINS: [&[u8]; 2] = [
    b"During handling of the above exception",
    b"The above exception was the direct cause",
];

impl Trace {
    /// Whether a line may be the first of several. Lines in a form that has room for a trace of its own are not held.
    pub(super) fn begins(text: &[u8], level: Option<Level>) -> Option<Self> {
        let first = *text.first()?;
        if first == b'{' || first.is_ascii_whitespace() {
            return None;
        }
        if let Some(trace) = opening(text) {
            return Some(trace);
        }
        if is_exception(text) {
            return Some(Self::Frames);
        }
        let is_grave = level.is_some_and(|level| level >= Level::Warn);
        (is_grave && !is_pairs(text)).then_some(Self::Head)
    }

    /// Where the trace stands if the line belongs to it.
    pub(super) fn goes_on(self, text: &[u8]) -> Option<Self> {
        let Some(first) = text.first() else {
            // An empty line stands between parts of these, and in front of others.
            return matches!(self, Self::Go | Self::PythonEnd).then_some(self);
        };
        if matches!(first, b' ' | b'\t') {
            return Some(match self {
                Self::Head => Self::Frames,
                other => other,
            });
        }
        if let Some(trace) = opening(text) {
            // One that follows another directly is part of it: an error, and then what caused it.
            return matches!(self, Self::Head | Self::PythonEnd | Self::Go).then_some(trace);
        }
        if FRAMES.iter().any(|front| text.starts_with(front)) {
            return Some(match self {
                Self::Head => Self::Frames,
                other => other,
            });
        }
        match self {
            Self::Head => is_exception(text).then_some(Self::Frames),
            Self::Frames => (is_numbered(text) || text == b"}").then_some(self),
            // The exception itself, which is not moved in.
            Self::Python => Some(Self::PythonEnd),
            Self::PythonEnd => CHAINS.iter().any(|front| text.starts_with(front)).then_some(self),
            Self::Go => is_of_go(text).then_some(self),
            Self::Rust => is_of_rust(text).then_some(self),
        }
    }
}

/// A line that says that a trace follows.
fn opening(text: &[u8]) -> Option<Trace> {
    match text.first()? {
        b'T' if text.starts_with(TRACEBACK) => Some(Trace::Python),
        b'p' if text.starts_with(b"panic: ") => Some(Trace::Go),
        b'f' if text.starts_with(b"fatal error: ") => Some(Trace::Go),
        b'g' if text.starts_with(b"goroutine ") && text.ends_with(b"]:") => Some(Trace::Go),
        b't' if text.starts_with(b"thread '") && memchr::memmem::find(text, b"' panicked at ").is_some() => {
            Some(Trace::Rust)
        }
        _ => None,
    }
}

/// `java.lang.IllegalStateException: why`, `TypeError [CODE]: why`, `Exception in thread "main" …`.
fn is_exception(text: &[u8]) -> bool {
    // Few lines begin with such a letter.
    let name = match text.first() {
        Some(b'E') if text.starts_with(b"Exception in thread ") => return true,
        Some(b'U') => UNCAUGHT
            .iter()
            .find_map(|front| text.strip_prefix(*front))
            .unwrap_or(text),
        _ => text,
    };
    let length = name
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$'))
        .count();
    let (name, behind) = name.split_at(length);
    EXCEPTIONS.iter().any(|end| name.ends_with(end))
        && (behind.is_empty() || behind.starts_with(b": ") || behind == b":" || behind.starts_with(b" ["))
}

/// `level=error msg=…` and the like: all of it is on its line.
fn is_pairs(text: &[u8]) -> bool {
    let letters = text.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    letters > 0 && text.get(letters) == Some(&b'=')
}

/// A frame of PHP: `#0 /app/index.php(3): f()`.
fn is_numbered(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"#") else {
        return false;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest.get(digits) == Some(&b' ')
}

/// Functions stand at the front of their lines, the places they are called from are moved in.
fn is_of_go(text: &[u8]) -> bool {
    const FRONTS: [&[u8]; 6] = [
        b"goroutine ",
        b"created by ",
        b"[signal ",
        b"exit status ",
        b"panic(",
        b"runtime stack:",
    ];
    let is_call = text.last() == Some(&b')')
        && memchr::memchr(b'(', text).is_some_and(|at| {
            let name = text.get(..at).unwrap_or_default();
            at > 0 && !name.contains(&b' ')
        });
    is_call || text.starts_with(b"...") || FRONTS.iter().any(|front| text.starts_with(front))
}

/// Behind `thread 'main' panicked at src/main.rs:2:5:` stands the message, on a line of its own.
fn is_of_rust(text: &[u8]) -> bool {
    // What loggers write begins with a time or a level.
    text.starts_with(b"note: ")
        || !text.first().is_some_and(u8::is_ascii_digit) && crate::level::of_line(text).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records that lines are, as counts of lines.
    fn records(text: &str) -> Vec<usize> {
        let (mut counts, mut open) = (Vec::new(), None::<Trace>);
        for line in text.lines() {
            let line = line.as_bytes();
            let next = open.and_then(|trace| trace.goes_on(line));
            match (next, counts.last_mut()) {
                (Some(_), Some(count)) => *count += 1,
                _ => counts.push(1),
            }
            open = next.or_else(|| Trace::begins(line, crate::level::of_line(line)));
        }
        counts
    }

    #[test]
    fn a_java_exception_is_one_record_with_its_causes_and_with_the_line_above_it() {
        let text = "\
2026-11-27 12:00:00 ERROR [main] c.s.Api - order failed
java.lang.IllegalStateException: no stock
\tat com.shop.Stock.take(Stock.java:42)
\tat com.shop.Api.order(Api.java:7) ~[app.jar:na]
\t... 12 common frames omitted
Caused by: java.sql.SQLException: closed
\tat com.shop.Db.get(Db.java:3)
\tSuppressed: java.lang.RuntimeException: x
2026-11-27 12:00:01 INFO [main] c.s.Api - next
2026-11-27 12:00:01 INFO [main] c.s.Api - and next
Exception in thread \"main\" java.lang.NullPointerException
\tat com.shop.Main.main(Main.java:1)
done";
        assert_eq!(records(text), [8, 1, 1, 2, 1]);
    }

    #[test]
    fn a_python_traceback_ends_with_its_exception_unless_another_follows() {
        let text = "\
ERROR:root:it broke
Traceback (most recent call last):
  File \"/app/a.py\", line 1, in f
    g()
ValueError: no

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File \"/app/a.py\", line 3, in <module>
KeyError: 'x'
INFO:root:next
Traceback (most recent call last):
  File \"/app/a.py\", line 3, in <module>
KeyError: 'y'
10.0.0.1 - - [x] \"GET /\"";
        assert_eq!(records(text), [11, 1, 3, 1]);
    }

    #[test]
    fn a_go_panic_is_one_record_with_its_goroutines() {
        let text = "\
panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.f(...)
\t/app/main.go:5
main.main()
\t/app/main.go:9 +0x1d

goroutine 7 [select]:
net/http.(*Server).Serve(0xc0001, {0x1, 0x2})
\t/go/server.go:3 +0x1
created by main.start in goroutine 1
\t/app/main.go:3
exit status 2
starting up again";
        assert_eq!(records(text), [14, 1]);
    }

    #[test]
    fn traces_of_node_dotnet_ruby_php_and_rust_are_one_record_each() {
        let node = "\
TypeError [ERR_X]: Cannot read properties of undefined
    at handler (/app/index.js:10:5)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5) {
  code: 'X'
}
listening";
        assert_eq!(records(node), [5, 1]);
        let dotnet = "\
Unhandled exception. System.InvalidOperationException: no
 ---> System.Exception: inner
   --- End of inner exception stack trace ---
   at Shop.Main() in /src/a.cs:line 3
next";
        assert_eq!(records(dotnet), [4, 1]);
        let ruby = "\
FATAL: app.rb:1:in `f': no (RuntimeError)
\tfrom app.rb:5:in `<main>'
next";
        assert_eq!(records(ruby), [2, 1]);
        let php = "\
PHP Fatal error:  ERROR: Uncaught Exception: no in /app/a.php:3
Stack trace:
#0 {main}
  thrown in /app/a.php on line 3
next";
        assert_eq!(records(php), [4, 1]);
        let rust = "\
thread 'main' panicked at src/main.rs:2:5:
it broke
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
2026-11-27T12:00:00Z INFO next";
        assert_eq!(records(rust), [3, 1]);
    }

    #[test]
    fn lines_that_stand_alone_stay_alone() {
        let text = "\
{\"level\":\"error\",\"msg\":\"x\"}
\tat nowhere
level=error msg=x
level=error msg=y
WARN disk is slow
WARN disk is slow
INFO fine
Error: connection refused
Error: connection refused
INFO fine
java.lang.Thread started";
        assert!(
            records(text).iter().all(|count| *count == 1),
            "{:?}",
            records(text)
        );
    }
}
