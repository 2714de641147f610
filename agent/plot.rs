//! Lines over time in a terminal, in Braille dots.

use std::fmt::Write;

/// Rows of letters; each has four dots.
const ROWS: usize = 16;
const COLUMNS_MIN: usize = 40;
const COLUMNS_MAX: usize = 240;
/// Lines drawn; more can no longer be told apart.
const LINES_MAX: usize = 8;
/// Bits of a Braille letter, by column and row of its dots.
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
/// Terminal colours, dark and bright enough for both grounds.
const COLOURS: [u8; LINES_MAX] = [34, 33, 32, 35, 36, 31, 94, 93];

pub(crate) struct Line {
    pub(crate) name: String,
    /// Seconds and values, in order.
    pub(crate) points: Vec<(f64, f64)>,
}

pub(crate) struct Plot {
    lines: Vec<Line>,
    left_out: usize,
    columns: usize,
    in_colour: bool,
}

/// A letter of the drawing: its dots, and whose line set the last of them.
type Cell = (u8, usize);

impl Plot {
    pub(crate) fn new(mut lines: Vec<Line>, columns: usize, in_colour: bool) -> Self {
        let left_out = lines.len().saturating_sub(LINES_MAX);
        if left_out > 0 {
            lines.sort_by(|one, other| peak(other).total_cmp(&peak(one)));
            lines.truncate(LINES_MAX);
        }
        Self {
            lines,
            left_out,
            columns: columns.clamp(COLUMNS_MIN, COLUMNS_MAX),
            in_colour,
        }
    }

    /// The drawing, its axes and a legend; `clock` writes a time.
    pub(crate) fn draw(&self, clock: fn(f64) -> String) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (from, to) = bounds(points().map(|(time, _)| *time));
        let (mut least, mut most) = bounds(points().map(|(_, value)| *value));
        if least > most {
            (least, most) = (0.0, 0.0);
        }
        if least == most {
            // A flat line runs through the middle.
            (least, most) = (least - 1.0, most + 1.0);
        }
        let marks =
            [most, f64::midpoint(least, most), least].map(|value| model::text::float::go(short(value)));
        let margin = marks.iter().map(String::len).max().unwrap_or(0);
        let columns = self.columns.saturating_sub(margin + 2).max(1);
        let cells = self.cells((from, to), (least, most), columns);

        let mut text = String::new();
        for (nth, row) in cells.iter().enumerate() {
            let mark = match nth {
                0 => &marks[0],
                nth if nth == ROWS / 2 => &marks[1],
                nth if nth == ROWS - 1 => &marks[2],
                _ => "",
            };
            _ = write!(text, "{mark:>margin$} ┤");
            self.row(row, &mut text);
            text.push('\n');
        }
        let (from, to) = (clock(from), clock(to));
        let gap = columns.saturating_sub(from.len() + to.len()).max(1);
        _ = writeln!(text, "{:margin$}  {from}{:gap$}{to}", "", "");
        self.legend(&mut text);
        text
    }

    fn cells(&self, (from, to): (f64, f64), (least, most): (f64, f64), columns: usize) -> Vec<Vec<Cell>> {
        let mut cells = vec![vec![(0, 0); columns]; ROWS];
        let (wide, high) = ((columns * 2 - 1) as f64, (ROWS * 4 - 1) as f64);
        for (nth, line) in self.lines.iter().enumerate() {
            let mut before: Option<(f64, f64)> = None;
            for (time, value) in &line.points {
                if !value.is_finite() {
                    before = None;
                    continue;
                }
                let x = ((time - from) / (to - from).max(f64::MIN_POSITIVE) * wide).round();
                let y = ((most - value) / (most - least) * high).round();
                let (x_before, y_before) = before.unwrap_or((x, y));
                let steps = (x - x_before).abs().max((y - y_before).abs()).max(1.0);
                for step in 0..=steps as usize {
                    let share = step as f64 / steps;
                    let at = |from: f64, to: f64| (from + (to - from) * share).round() as usize;
                    set(&mut cells, at(x_before, x), at(y_before, y), nth);
                }
                before = Some((x, y));
            }
        }
        cells
    }

    fn row(&self, row: &[Cell], text: &mut String) {
        for (dots, line) in row {
            let letter = char::from_u32(0x2800 + u32::from(*dots)).unwrap_or(' ');
            match (*dots, self.in_colour) {
                (0, _) => text.push(' '),
                (_, false) => text.push(letter),
                (_, true) => text.push_str(&coloured(*line, letter)),
            }
        }
        if !self.in_colour {
            text.truncate(text.trim_end().len());
        }
    }

    fn legend(&self, text: &mut String) {
        for (nth, line) in self.lines.iter().enumerate() {
            let last = line.points.last().map_or(f64::NAN, |(_, value)| *value);
            let mark = match self.in_colour {
                true => coloured(nth, '━'),
                false => "━".to_owned(),
            };
            _ = writeln!(text, "{mark} {}  {}", line.name, model::text::float::go(last));
        }
        if self.left_out > 0 {
            _ = writeln!(
                text,
                "{} more series are lower and not drawn; --output table prints all",
                self.left_out
            );
        }
    }
}

fn set(cells: &mut [Vec<Cell>], x: usize, y: usize, line: usize) {
    let dot = DOTS.get(x % 2).and_then(|column| column.get(y % 4));
    let cell = cells.get_mut(y / 4).and_then(|row| row.get_mut(x / 2));
    if let (Some(dot), Some((dots, whose))) = (dot, cell) {
        *dots |= dot;
        *whose = line;
    }
}

fn coloured(line: usize, letter: char) -> String {
    let colour = COLOURS.get(line % LINES_MAX).copied().unwrap_or(0);
    format!("\u{1b}[{colour}m{letter}\u{1b}[0m")
}

fn peak(line: &Line) -> f64 {
    let values = line.points.iter().map(|(_, value)| *value);
    values.fold(f64::NEG_INFINITY, f64::max)
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
            (least.min(value), most.max(value))
        })
}

/// To four digits: a mark beside an axis, not a value.
fn short(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    match scale.is_finite() && scale != 0.0 {
        true => (value * scale).round() / scale,
        false => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(points: &[(f64, f64)]) -> String {
        let line = Line {
            name: "x".to_owned(),
            points: points.to_vec(),
        };
        Plot::new(vec![line], 60, false).draw(|seconds| seconds.to_string())
    }

    #[test]
    fn a_rising_line_goes_from_the_lower_left_to_the_upper_right() {
        let text = draw(&[(0.0, 0.0), (60.0, 123_456.0)]);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), ROWS + 2, "{text}");
        assert!(
            rows[0].starts_with("123500 ┤")
                && rows[0].trim_end().ends_with('⠉') | rows[0].contains('⡠') | rows[0].contains('⠤'),
            "{text}"
        );
        assert!(
            rows[ROWS - 1].starts_with("     0 ┤⣀")
                || rows[ROWS - 1].starts_with("     0 ┤⡠")
                || rows[ROWS - 1].starts_with("     0 ┤⣠"),
            "{text}"
        );
        assert!(
            rows[ROWS].starts_with("        0") && rows[ROWS].ends_with("60"),
            "{text}"
        );
        assert_eq!(rows[ROWS + 1], "━ x  123456");
    }

    #[test]
    fn what_is_no_number_leaves_a_gap_and_one_value_is_a_line() {
        let text = draw(&[(0.0, 5.0), (1.0, f64::NAN), (2.0, 5.0)]);
        assert!(text.contains("━ x  5"), "{text}");
        assert!(draw(&[]).contains("━ x  NaN"));
    }

    #[test]
    fn more_lines_than_colours_are_counted() {
        let lines = (0..10).map(|nth| Line {
            name: format!("l{nth}"),
            points: vec![(0.0, f64::from(nth))],
        });
        let text = Plot::new(lines.collect(), 60, true).draw(|seconds| seconds.to_string());
        assert!(
            text.contains("l9") && !text.contains("l1 ") && text.contains("2 more series"),
            "{text}"
        );
    }
}
