//! The course of a value as a small picture: a line over time, with gaps where there was no value.
//!
//! No letters: what it shows stands beside it as text.

const WIDTH: usize = 600;
const HEIGHT: usize = 120;
/// Free on each side, so that nothing of the line is cut off.
const MARGIN: usize = 8;
/// Of the line, in pixels to each side of its middle.
const HALF: usize = 1;

/// Colours by their number in the picture: paper, a rule at the top and the bottom, the line. As on the page.
const PALETTE: [u8; 9] = [0xff, 0xff, 0xff, 0xd9, 0xd9, 0xd9, 0x00, 0x72, 0xb2];
const RULE: u8 = 1;
const LINE: u8 = 2;

/// A PNG, from the first value on the left to the last one on the right; none where there are not two values.
pub(crate) fn draw(values: &[Option<f64>]) -> Option<Vec<u8>> {
    let known = || values.iter().flatten().copied().filter(|value| value.is_finite());
    if known().count() < 2 {
        return None;
    }
    let most = known().fold(f64::NEG_INFINITY, f64::max);
    let least = known().fold(f64::INFINITY, f64::min);
    let mut rows = vec![vec![0_u8; WIDTH]; HEIGHT];
    for row in [MARGIN, HEIGHT - MARGIN - 1] {
        rows.get_mut(row)?.fill(RULE);
    }
    let heights: Vec<Option<f64>> = values
        .iter()
        .map(|value| {
            value
                .filter(|value| value.is_finite())
                .map(|value| share(value, least, most))
        })
        .collect();
    let steps = heights.len() - 1;
    for (nth, pair) in heights.windows(2).enumerate() {
        if let [Some(from), Some(to)] = *pair {
            stroke(
                &mut rows,
                (column(nth, steps), from),
                (column(nth + 1, steps), to),
            );
        }
    }
    // A value between two gaps is a dot.
    for (nth, height) in heights.iter().enumerate() {
        if let Some(height) = height {
            stroke(
                &mut rows,
                (column(nth, steps), *height),
                (column(nth, steps), *height),
            );
        }
    }
    encode(&rows)
}

/// Between 0 at the bottom and 1 at the top; in the middle where all are the same.
fn share(value: f64, least: f64, most: f64) -> f64 {
    // Halves, because the whole may be more than a float holds.
    let share = (value / 2.0 - least / 2.0) / (most / 2.0 - least / 2.0);
    if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.5
    }
}

fn column(nth: usize, steps: usize) -> usize {
    MARGIN + nth * (WIDTH - 2 * MARGIN - 1) / steps.max(1)
}

/// A straight line; in each column it also reaches as far up or down as it does to the next.
fn stroke(rows: &mut [Vec<u8>], (from, low): (usize, f64), (to, high): (usize, f64)) {
    let height_at = |column: usize| {
        let share = if to == from {
            0.0
        } else {
            column.saturating_sub(from) as f64 / (to - from) as f64
        };
        row(low + (high - low) * share)
    };
    for column in from..=to {
        let (here, next) = (height_at(column), height_at((column + 1).min(to)));
        let rows_of_it = here.min(next).saturating_sub(HALF)..=here.max(next) + HALF;
        for row in rows_of_it {
            for column in column.saturating_sub(HALF)..=column + HALF {
                if let Some(pixel) = rows.get_mut(row).and_then(|row| row.get_mut(column)) {
                    *pixel = LINE;
                }
            }
        }
    }
}

fn row(share: f64) -> usize {
    let most = (HEIGHT - 2 * MARGIN - 1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the height"
    )]
    let up = (share * most).round() as usize;
    HEIGHT - MARGIN - 1 - up
}

fn encode(rows: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(
        &mut bytes,
        u32::try_from(WIDTH).ok()?,
        u32::try_from(HEIGHT).ok()?,
    );
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(PALETTE.to_vec());
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&rows.concat()).ok()?;
    writer.finish().ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which rows of a column are of the line.
    fn inked(picture: &[u8], column: usize) -> Vec<usize> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(picture))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width as usize, info.height as usize), (WIDTH, HEIGHT));
        (0..HEIGHT)
            .filter(|row| pixels[row * WIDTH + column] == LINE)
            .collect()
    }

    #[test]
    fn a_value_that_rises_goes_from_the_bottom_left_to_the_top_right() {
        let picture = draw(&[Some(1.0), Some(2.0), Some(3.0)]).unwrap();
        assert!(picture.len() < 4_000, "{} bytes", picture.len());
        let (first, middle, last) = (
            inked(&picture, MARGIN),
            inked(&picture, WIDTH / 2),
            inked(&picture, WIDTH - MARGIN - 1),
        );
        assert!(first.contains(&(HEIGHT - MARGIN - 1)) && last.contains(&MARGIN));
        assert!(middle.contains(&(HEIGHT / 2)), "{middle:?}");
    }

    #[test]
    fn a_gap_is_left_blank_and_a_value_alone_is_a_dot() {
        let picture = draw(&[Some(1.0), Some(1.0), None, Some(1.0), None, Some(1.0), Some(1.0)]).unwrap();
        let at = |nth: usize| inked(&picture, column(nth, 6));
        assert_eq!(at(2), [0; 0]);
        let middle = row(0.5);
        assert_eq!(at(3), [middle - HALF, middle, middle + HALF]);
        assert_eq!(at(0), at(3));
    }

    #[test]
    fn what_cannot_be_drawn_is_no_picture() {
        assert_eq!(draw(&[]), None);
        assert_eq!(draw(&[Some(1.0), None]), None);
        assert_eq!(draw(&[Some(f64::NAN), Some(f64::INFINITY), Some(1.0)]), None);
        assert!(draw(&[Some(f64::MIN), Some(f64::MAX)]).is_some());
    }
}
