//! One table of all that was measured.

#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Line>);

#[derive(Debug)]
struct Line {
    what: String,
    ours: f64,
    theirs: Option<f64>,
    better: Better,
    goal: &'static str,
}

/// Which number is the better one; the ratio says how many times ours is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

impl Table {
    pub(crate) fn add(
        &mut self,
        what: impl Into<String>,
        ours: f64,
        theirs: Option<f64>,
        better: Better,
        goal: &'static str,
    ) {
        let line = Line {
            what: what.into(),
            ours,
            theirs,
            better,
            goal,
        };
        eprintln!("  {}", line.text());
        self.0.push(line);
    }

    pub(crate) fn print(&self, has_peer: bool) {
        println!(
            "{:<58} {:>12} {:>12} {:>9}  goal",
            "", "ours", "theirs", "better by"
        );
        for line in &self.0 {
            println!("{}", line.text());
        }
        if !has_peer {
            println!("MISSING: prometheus (run tests/setup); nothing was compared");
        }
    }
}

impl Line {
    fn text(&self) -> String {
        let ratio = self.theirs.map(|theirs| match self.better {
            Better::More => self.ours / theirs,
            Better::Less => theirs / self.ours,
        });
        let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.1}x"));
        let theirs = self.theirs.map_or("-".to_owned(), number);
        format!(
            "{:<58} {:>12} {:>12} {:>9}  {}",
            self.what,
            number(self.ours),
            theirs,
            ratio,
            self.goal
        )
    }
}

fn number(number: f64) -> String {
    match number.abs() {
        large if large >= 100.0 => format!("{number:.0}"),
        middle if middle >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}
