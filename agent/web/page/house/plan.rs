//! Where things stand in the picture of the house: places in columns by their row, joints as lines between them.
//!
//! The same graph always gives the same plan. A line that passes columns is led through a lane of its own in each, so
//! that it crosses no box; places are ordered so that few lines cross each other.

use std::fmt::Write;

use model::view::{Graph, Joint};

/// Between two lines at one side of a box: a label's height and a queue's.
const PITCH: f64 = 30.0;
const BOX_MIN: f64 = 36.0;
const BETWEEN: f64 = 20.0;
const MARGIN: f64 = 20.0;
/// Where lines bend, right of the labels.
const BEND: f64 = 56.0;
const TIP: f64 = 7.0;
const LETTER: f64 = 6.4;
pub(super) const LABEL_LETTERS_MAX: usize = 20;
pub(super) const NAME_LETTERS_MAX: usize = 16;
const SWEEPS: usize = 8;

pub(super) struct Plan {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) boxes: Vec<Boxed>,
    pub(super) lines: Vec<Line>,
}

pub(super) struct Boxed {
    /// Index of the place in the graph.
    pub(super) place: usize,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

pub(super) struct Line {
    /// Index of the joint in the graph.
    pub(super) joint: usize,
    /// An SVG path.
    pub(super) path: String,
    /// Corners of the arrow's head.
    pub(super) tip: String,
    /// Where the queue is drawn; the label stands above it.
    pub(super) label: (f64, f64),
}

/// Joints between places that are not in the graph, or from one to itself, are left to the table.
pub(super) fn lay(graph: &Graph) -> Plan {
    let mut floor = Floor::new(graph);
    floor.order();
    floor.raise();
    floor.draw(graph)
}

/// A place, or the lane of a line that passes.
struct Item {
    place: Option<usize>,
    column: usize,
    /// Chains that leave at either side, from the top.
    left: Vec<usize>,
    right: Vec<usize>,
    y: f64,
    height: f64,
}

impl Item {
    fn new(place: Option<usize>, column: usize) -> Self {
        Self {
            place,
            column,
            left: Vec::new(),
            right: Vec::new(),
            y: 0.0,
            height: 0.0,
        }
    }

    /// Height at which a chain leaves.
    fn port(&self, chain: usize, at_right: bool) -> f64 {
        let ports = if at_right { &self.right } else { &self.left };
        let nth = ports.iter().position(|known| *known == chain).unwrap_or(0) as f64;
        self.y + self.height / 2.0 + (nth - (ports.len().max(1) as f64 - 1.0) / 2.0) * PITCH
    }
}

/// One joint: the items it touches, from the left; of one column, the source first.
struct Chain {
    joint: usize,
    items: Vec<usize>,
    way: Way,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Right,
    Left,
    /// Within a column, around its right side.
    Round,
}

struct Floor {
    items: Vec<Item>,
    /// Items from the top.
    columns: Vec<Vec<usize>>,
    chains: Vec<Chain>,
}

impl Floor {
    fn new(graph: &Graph) -> Self {
        let mut rows: Vec<usize> = graph.places.iter().map(|place| place.row).collect();
        rows.sort_unstable();
        rows.dedup();
        let column = |row| rows.binary_search(&row).unwrap_or(0);
        let mut floor = Self {
            items: Vec::new(),
            columns: vec![Vec::new(); rows.len()],
            chains: Vec::new(),
        };
        for (nth, place) in graph.places.iter().enumerate() {
            floor.add(Some(nth), column(place.row));
        }
        for (nth, joint) in graph.joints.iter().enumerate() {
            floor.join(graph, nth, joint);
        }
        floor
    }

    fn add(&mut self, place: Option<usize>, column: usize) -> usize {
        let item = self.items.len();
        self.items.push(Item::new(place, column));
        if let Some(items) = self.columns.get_mut(column) {
            items.push(item);
        }
        item
    }

    fn join(&mut self, graph: &Graph, joint: usize, named: &Joint) {
        // Items of places were added first and in order.
        let find = |name: &str| graph.places.iter().position(|place| place.name == name);
        let (Some(from), Some(to)) = (find(&named.from), find(&named.to)) else {
            return;
        };
        let (start, end) = (self.items[from].column, self.items[to].column);
        let (way, first, last) = match start.cmp(&end) {
            std::cmp::Ordering::Less => (Way::Right, from, to),
            std::cmp::Ordering::Greater => (Way::Left, to, from),
            std::cmp::Ordering::Equal if from == to => return,
            std::cmp::Ordering::Equal => (Way::Round, from, to),
        };
        let between = (start.min(end) + 1..start.max(end)).map(|column| self.add(None, column));
        let mut items = vec![first];
        items.extend(between.collect::<Vec<_>>());
        items.push(last);
        self.chains.push(Chain { joint, items, way });
    }

    /// Pairs of neighbours in different columns, with their chain: left, right.
    fn steps(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let chains = self.chains.iter().enumerate();
        let chains = chains.filter(|(_, chain)| chain.way != Way::Round);
        chains.flat_map(|(nth, chain)| {
            let pairs = chain.items.iter().zip(chain.items.iter().skip(1));
            pairs.map(move |(left, right)| (*left, *right, nth))
        })
    }

    fn positions(&self) -> Vec<usize> {
        let mut positions = vec![0; self.items.len()];
        for (nth, item) in self.columns.iter().flat_map(|column| column.iter().enumerate()) {
            positions[*item] = nth;
        }
        positions
    }

    fn crossings(&self) -> usize {
        let at = self.positions();
        let steps: Vec<_> = self.steps().collect();
        let crosses = |one: &(usize, usize, usize), other: &(usize, usize, usize)| {
            self.items[one.0].column == self.items[other.0].column
                && at[one.0] < at[other.0]
                && at[one.1] > at[other.1]
        };
        let against = |one| steps.iter().filter(|other| crosses(one, other)).count();
        steps.iter().map(against).sum()
    }

    /// Each item goes to the middle of its neighbours, column by column, to and fro; the best order stays.
    fn order(&mut self) {
        let mut best = (self.crossings(), self.columns.clone());
        for sweep in 0..SWEEPS {
            let to_right = sweep % 2 == 0;
            for nth in 0..self.columns.len() {
                let column = if to_right {
                    nth
                } else {
                    self.columns.len() - 1 - nth
                };
                let at = self.positions();
                let mut sum = vec![(0.0, 0.0); self.items.len()];
                for (left, right, _) in self.steps() {
                    let (item, other) = if to_right { (right, left) } else { (left, right) };
                    sum[item].0 += at[other] as f64;
                    sum[item].1 += 1.0;
                }
                // Who has no neighbour there stays where it is.
                let middle = |item: usize| match sum[item] {
                    (_, 0.0) => at[item] as f64,
                    (sum, count) => sum / count,
                };
                self.columns[column].sort_by(|one, other| middle(*one).total_cmp(&middle(*other)));
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.columns.clone());
            }
        }
        self.columns = best.1;
        self.moor();
    }

    /// Gives every line its place at the sides of what it touches.
    fn moor(&mut self) {
        let at = self.positions();
        let mut sides: Vec<(usize, bool, (usize, usize), usize)> = Vec::new();
        for (left, right, chain) in self.steps() {
            sides.push((left, true, (1, at[right]), chain));
            sides.push((right, false, (1, at[left]), chain));
        }
        for (nth, chain) in self.chains.iter().enumerate() {
            if let (Way::Round, [from, to]) = (chain.way, chain.items.as_slice()) {
                for (item, other) in [(*from, *to), (*to, *from)] {
                    // What lies above leaves above the lines to other columns, what lies below, below them.
                    let side = if at[other] < at[item] { 0 } else { 2 };
                    sides.push((item, true, (side, at[other]), nth));
                }
            }
        }
        sides.sort_unstable();
        for (item, at_right, _, chain) in sides {
            let item = &mut self.items[item];
            let ports = if at_right { &mut item.right } else { &mut item.left };
            ports.push(chain);
        }
        for item in &mut self.items {
            let lines = item.left.len().max(item.right.len()) as f64;
            item.height = if item.place.is_some() {
                (lines * PITCH + 8.0).max(BOX_MIN)
            } else {
                PITCH
            };
        }
    }

    /// Moves every item to the height of what it is joined to, as far as its column has room.
    fn raise(&mut self) {
        for column in self.columns.clone() {
            self.settle(&column, |_| 0.0);
        }
        for sweep in 0..SWEEPS {
            for nth in 0..self.columns.len() {
                let nth = if sweep % 2 == 0 {
                    nth
                } else {
                    self.columns.len() - 1 - nth
                };
                let column = self.columns[nth].clone();
                let mut pull = vec![(0.0, 0.0); self.items.len()];
                for (left, right, chain) in self.steps() {
                    let rise = self.items[right].port(chain, false) - self.items[left].port(chain, true);
                    pull[left].0 += rise;
                    pull[left].1 += 1.0;
                    pull[right].0 -= rise;
                    pull[right].1 += 1.0;
                }
                let wanted: Vec<f64> = pull
                    .iter()
                    .zip(&self.items)
                    .map(|((sum, count), item)| {
                        if *count > 0.0 {
                            item.y + sum / count
                        } else {
                            item.y
                        }
                    })
                    .collect();
                self.settle(&column, |item| wanted[item]);
            }
        }
        let top = self.items.iter().map(|item| item.y).fold(f64::INFINITY, f64::min);
        for item in &mut self.items {
            item.y += MARGIN - top;
        }
    }

    /// Heights as near to the wanted ones as the order allows: the middle of the lowest and the highest that do.
    fn settle(&mut self, column: &[usize], wanted: impl Fn(usize) -> f64) {
        let mut low = Vec::new();
        let mut free = f64::NEG_INFINITY;
        for item in column {
            let y = wanted(*item).max(free);
            low.push(y);
            free = y + self.items[*item].height + BETWEEN;
        }
        let mut free = f64::INFINITY;
        for (item, low) in column.iter().zip(low).rev() {
            let high = wanted(*item).min(free - self.items[*item].height);
            self.items[*item].y = f64::midpoint(low, high);
            free = high - BETWEEN;
        }
    }

    fn draw(&self, graph: &Graph) -> Plan {
        let columns = self.columns.iter().enumerate();
        let measures = columns.map(|(nth, _)| (self.box_width(graph, nth), self.lead(graph, nth)));
        let mut x = MARGIN;
        // Left edge, right edge, where the lines begin to bend.
        let edges: Vec<(f64, f64, f64)> = measures
            .map(|(width, lead)| {
                let edge = (x, x + width, x + width + lead);
                x = edge.2 + BEND;
                edge
            })
            .collect();
        let rounds = |column| {
            let mut chains = self.chains.iter().filter(|chain| chain.way == Way::Round);
            chains.any(|chain| self.items[chain.items[0]].column == column)
        };
        let right = match (edges.len().checked_sub(1), edges.last()) {
            (Some(last), Some((_, _, bend))) if rounds(last) => bend + BEND,
            (_, Some((_, edge, _))) => *edge,
            _ => 0.0,
        };
        let bottom = self
            .items
            .iter()
            .map(|item| item.y + item.height)
            .fold(0.0, f64::max);
        let boxes = self.items.iter().filter_map(|item| {
            let (left, right, _) = edges[item.column];
            item.place.map(|place| Boxed {
                place,
                x: left,
                y: item.y,
                width: right - left,
                height: item.height,
            })
        });
        let lines = self
            .chains
            .iter()
            .enumerate()
            .map(|(nth, chain)| self.line(nth, chain, &edges));
        Plan {
            width: right + MARGIN,
            height: bottom + MARGIN,
            boxes: boxes.collect(),
            lines: lines.collect(),
        }
    }

    fn box_width(&self, graph: &Graph, column: usize) -> f64 {
        let names = self.columns[column]
            .iter()
            .filter_map(|item| self.items[*item].place);
        let letters = names.map(|place| graph.places[place].name.chars().count().min(NAME_LETTERS_MAX));
        (letters.max().unwrap_or(0) as f64 * 7.2 + 24.0).max(72.0)
    }

    /// How far lines run straight, for the labels above them.
    fn lead(&self, graph: &Graph, column: usize) -> f64 {
        let begins = self
            .chains
            .iter()
            .filter(|chain| self.items[chain.items[0]].column == column);
        let letters = begins.map(|chain| graph.joints[chain.joint].carries.chars().count());
        letters.max().map_or(0.0, |letters| {
            letters.min(LABEL_LETTERS_MAX) as f64 * LETTER + 28.0
        })
    }

    fn line(&self, nth: usize, chain: &Chain, edges: &[(f64, f64, f64)]) -> Line {
        let edge = |item: usize| edges[self.items[item].column];
        let (first, last) = (chain.items[0], chain.items[chain.items.len() - 1]);
        let (start, from) = (edge(first).1, self.items[first].port(nth, true));
        let mut path = format!(
            "M{:.1} {from:.1}",
            if chain.way == Way::Left {
                start + TIP
            } else {
                start
            }
        );
        // Writing to a string cannot fail.
        if chain.way == Way::Round {
            let (bend, to) = (edge(first).2, self.items[last].port(nth, true));
            let out = bend + BEND * 0.7;
            _ = write!(
                path,
                "H{bend:.1}C{out:.1} {from:.1} {out:.1} {to:.1} {bend:.1} {to:.1}H{:.1}",
                start + TIP
            );
            return Line {
                joint: chain.joint,
                path,
                tip: tip(start, to, TIP),
                label: (start, from),
            };
        }
        let mut at = from;
        for (left, right) in chain.items.iter().zip(chain.items.iter().skip(1)) {
            let (bend, there) = (edge(*left).2, edge(*right).0);
            let to = self.items[*right].port(nth, false);
            let (middle, end) = (
                f64::midpoint(bend, there),
                if *right == last && chain.way == Way::Right {
                    there - TIP
                } else {
                    there
                },
            );
            _ = write!(
                path,
                "H{bend:.1}C{middle:.1} {at:.1} {middle:.1} {to:.1} {end:.1} {to:.1}"
            );
            at = to;
        }
        Line {
            joint: chain.joint,
            path,
            tip: match chain.way {
                Way::Right => tip(edge(last).0, at, -TIP),
                _ => tip(start, from, TIP),
            },
            label: (start, from),
        }
    }
}

/// An arrow's head at this point; its length goes back the way the line came.
fn tip(x: f64, y: f64, back: f64) -> String {
    format!(
        "{x:.1},{y:.1} {0:.1},{1:.1} {0:.1},{2:.1}",
        x + back,
        y - 4.0,
        y + 4.0
    )
}

#[cfg(test)]
mod tests {
    use model::view::{Health, Place};

    use super::*;

    fn graph(places: &[(&str, usize)], joints: &[(&str, &str)]) -> Graph {
        Graph {
            role: "all".to_owned(),
            places: places
                .iter()
                .map(|(name, row)| Place {
                    name: (*name).to_owned(),
                    row: *row,
                    outside: false,
                })
                .collect(),
            joints: joints
                .iter()
                .map(|(from, to)| Joint {
                    from: (*from).to_owned(),
                    to: (*to).to_owned(),
                    carries: "things".to_owned(),
                    when_full: String::new(),
                    size: String::new(),
                    fill: None,
                    now: String::new(),
                    health: Health::Good,
                })
                .collect(),
        }
    }

    fn overlap(one: &Boxed, other: &Boxed) -> bool {
        one.x < other.x + other.width
            && other.x < one.x + one.width
            && one.y < other.y + other.height
            && other.y < one.y + one.height
    }

    #[test]
    fn no_box_covers_another_and_all_are_inside() {
        let names: Vec<String> = (0..14).map(|nth| format!("place {nth}")).collect();
        let places: Vec<(&str, usize)> = names
            .iter()
            .zip([0, 3, 1, 7].iter().cycle())
            .map(|(name, row)| (name.as_str(), *row))
            .collect();
        let joints: Vec<(&str, &str)> = (0..14)
            .flat_map(|nth| [1, 3, 6].map(|by| (places[nth].0, places[(nth + by) % 14].0)))
            .collect();
        let graph = graph(&places, &joints);
        let plan = lay(&graph);
        assert_eq!((plan.boxes.len(), plan.lines.len()), (14, 42));
        for (nth, one) in plan.boxes.iter().enumerate() {
            assert!(one.x >= MARGIN && one.y >= MARGIN - 0.01);
            assert!(one.x + one.width <= plan.width && one.y + one.height <= plan.height);
            for other in plan.boxes.iter().skip(nth + 1) {
                assert!(!overlap(one, other), "{} {}", one.place, other.place);
            }
        }
        let again = lay(&graph);
        assert!(
            plan.lines
                .iter()
                .zip(&again.lines)
                .all(|(one, other)| one.path == other.path)
        );
    }

    #[test]
    fn labels_never_stand_on_one_another() {
        let joints = [
            ("a", "d"),
            ("a", "e"),
            ("b", "d"),
            ("b", "e"),
            ("d", "e"),
            ("e", "a"),
            ("a", "f"),
            ("a", "b"),
        ];
        let plan = lay(&graph(
            &[("a", 0), ("b", 0), ("d", 1), ("e", 1), ("f", 2)],
            &joints,
        ));
        for (nth, one) in plan.lines.iter().enumerate() {
            for other in plan.lines.iter().skip(nth + 1) {
                let apart = (one.label.1 - other.label.1).abs();
                assert!(
                    one.label.0 != other.label.0 || apart >= PITCH - 0.01,
                    "{} {}",
                    one.joint,
                    other.joint
                );
            }
        }
    }

    #[test]
    fn lines_that_can_do_without_crossing_do() {
        let joints = [("a", "z"), ("b", "y"), ("c", "x")];
        let places = [("a", 0), ("b", 0), ("c", 0), ("x", 1), ("y", 1), ("z", 1)];
        let mut floor = Floor::new(&graph(&places, &joints));
        assert_eq!(floor.crossings(), 3);
        floor.order();
        assert_eq!(floor.crossings(), 0);
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let plan = lay(&graph(&[("a", 4)], &[("a", "a"), ("a", "nowhere")]));
        assert_eq!((plan.boxes.len(), plan.lines.len()), (1, 0));
        let nothing = lay(&Graph::default());
        assert!(nothing.boxes.is_empty() && nothing.height.is_finite());
    }
}
