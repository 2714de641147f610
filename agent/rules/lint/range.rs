//! Which numbers a part of an expression can give: enough to know that `count(x) == 0` is never true.

use promql::Op;

/// All numbers from `min` to `max`, both within unless they are open; none when `min` is above `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) min: f64,
    pub(super) max: f64,
    min_open: bool,
    max_open: bool,
    /// All but zero.
    no_zero: bool,
    /// Not a number is possible, too.
    pub(super) nan: bool,
}

impl Range {
    pub(super) const ANY: Self = Self {
        nan: true,
        ..Self::of(f64::NEG_INFINITY, f64::INFINITY)
    };

    pub(super) const fn of(min: f64, max: f64) -> Self {
        Self {
            min,
            max,
            min_open: false,
            max_open: false,
            no_zero: false,
            nan: false,
        }
    }

    pub(super) const fn at_least(min: f64) -> Self {
        Self::of(min, f64::INFINITY)
    }

    pub(super) fn constant(number: f64) -> Self {
        if number.is_nan() {
            Self {
                nan: true,
                ..Self::of(f64::INFINITY, f64::NEG_INFINITY)
            }
        } else {
            Self::of(number, number)
        }
    }

    pub(super) fn or_nan(self) -> Self {
        Self { nan: true, ..self }
    }

    /// Not a number where `other` may be none.
    pub(super) fn as_sure_as(self, other: Self) -> Self {
        Self {
            nan: other.nan,
            ..self
        }
    }

    /// The one number it is.
    pub(super) fn number(self) -> Option<f64> {
        if self.is_none() && self.nan {
            return Some(f64::NAN);
        }
        (self.min == self.max && !self.nan && !self.min_open && !self.max_open).then_some(self.min)
    }

    fn is_none(self) -> bool {
        self.min > self.max || (self.min == self.max && (self.min_open || self.max_open))
    }

    pub(super) fn holds(self, number: f64) -> bool {
        let above = self.min < number || (self.min == number && !self.min_open);
        let below = number < self.max || (number == self.max && !self.max_open);
        above && below && !(number == 0.0 && self.no_zero)
    }

    fn is_bounded(self) -> bool {
        self.min.is_finite() && self.max.is_finite()
    }

    /// Either of the two.
    pub(super) fn or(self, other: Self) -> Self {
        let pick = |one: (f64, bool), two: (f64, bool), first: bool| match () {
            () if one.0 == two.0 => (one.0, one.1 && two.1),
            () if (one.0 < two.0) == first => one,
            () => two,
        };
        let (min, min_open) = pick((self.min, self.min_open), (other.min, other.min_open), true);
        let (max, max_open) = pick((self.max, self.max_open), (other.max, other.max_open), false);
        Self {
            min,
            max,
            min_open,
            max_open,
            no_zero: !self.holds(0.0) && !other.holds(0.0),
            nan: self.nan || other.nan,
        }
    }

    pub(super) fn negative(self) -> Self {
        Self {
            min: -self.max,
            max: -self.min,
            min_open: self.max_open,
            max_open: self.min_open,
            no_zero: self.no_zero,
            nan: self.nan,
        }
    }

    pub(super) fn each(self, with: fn(f64) -> f64) -> Self {
        Self {
            nan: self.nan,
            ..Self::of(with(self.min), with(self.max))
        }
    }

    /// What remains of the left side where the comparison holds; `None` when that is nothing at all.
    pub(super) fn narrowed(self, op: Op, right: Self) -> Option<Self> {
        let numbers = Self { nan: false, ..self };
        if right.is_none() {
            return (op == Op::Ne).then_some(self);
        }
        let left = match op {
            Op::Gt => numbers.above(right.min, true),
            Op::Ge => numbers.above(right.min, right.min_open),
            Op::Lt => numbers.below(right.max, true),
            Op::Le => numbers.below(right.max, right.max_open),
            Op::Eq => numbers
                .above(right.min, right.min_open)
                .below(right.max, right.max_open),
            Op::Ne => {
                let mut left = self;
                if let Some(number) = right.number() {
                    left.min_open |= left.min == number;
                    left.max_open |= left.max == number;
                    left.no_zero |= number == 0.0;
                    if left.is_none() && !left.nan {
                        return None;
                    }
                }
                return Some(left);
            }
            _ => return Some(self),
        };
        (!left.is_none()).then_some(left)
    }

    fn above(self, min: f64, open: bool) -> Self {
        if min < self.min || (min == self.min && !open) {
            return self;
        }
        Self {
            min,
            min_open: open,
            ..self
        }
    }

    fn below(self, max: f64, open: bool) -> Self {
        if max > self.max || (max == self.max && !open) {
            return self;
        }
        Self {
            max,
            max_open: open,
            ..self
        }
    }

    /// Whether the comparison holds whatever the two are.
    pub(super) fn always(self, op: Op, right: Self) -> bool {
        let opposite = match op {
            Op::Gt => Op::Le,
            Op::Ge => Op::Lt,
            Op::Lt => Op::Ge,
            Op::Le => Op::Gt,
            Op::Eq => Op::Ne,
            Op::Ne => Op::Eq,
            _ => return false,
        };
        let nothing = self.is_none() || right.is_none();
        !self.nan && !right.nan && !nothing && self.narrowed(opposite, right).is_none()
    }

    /// What an operation other than a comparison gives.
    pub(super) fn computed(self, op: Op, right: Self) -> Self {
        if let (Some(left), Some(right)) = (self.number(), right.number()) {
            return match op {
                Op::Add => Self::constant(left + right),
                Op::Sub => Self::constant(left - right),
                Op::Mul => Self::constant(left * right),
                Op::Div => Self::constant(left / right),
                Op::Mod => Self::constant(left % right),
                Op::Pow => Self::constant(left.powf(right)),
                Op::Atan2 => Self::constant(left.atan2(right)),
                _ => Self::ANY,
            };
        }
        match op {
            Op::Add => self.sum(right),
            Op::Sub => self.sum(right.negative()),
            Op::Mul => self.product(right),
            Op::Div if right.is_bounded() && !right.holds(0.0) && right.min * right.max > 0.0 => self
                .product(Self {
                    nan: right.nan,
                    ..Self::of(1.0 / right.max, 1.0 / right.min)
                }),
            Op::Div if self.min >= 0.0 && right.min >= 0.0 => Self::at_least(0.0).or_nan(),
            Op::Pow if self.min >= 0.0 => Self::at_least(0.0).or_nan(),
            _ => Self::ANY,
        }
    }

    fn sum(self, right: Self) -> Self {
        let bound = |sum: f64, otherwise: f64| if sum.is_nan() { otherwise } else { sum };
        Self {
            min: bound(self.min + right.min, f64::NEG_INFINITY),
            max: bound(self.max + right.max, f64::INFINITY),
            min_open: self.min_open || right.min_open,
            max_open: self.max_open || right.max_open,
            no_zero: false,
            // Two infinities may cancel out.
            nan: self.nan || right.nan || !(self.is_bounded() || right.is_bounded()),
        }
    }

    fn product(self, right: Self) -> Self {
        if self.is_bounded() && right.is_bounded() {
            let corners = [
                self.min * right.min,
                self.min * right.max,
                self.max * right.min,
                self.max * right.max,
            ];
            return Self {
                nan: self.nan || right.nan,
                ..Self::of(
                    corners.into_iter().fold(f64::INFINITY, f64::min),
                    corners.into_iter().fold(f64::NEG_INFINITY, f64::max),
                )
            };
        }
        if self.min >= 0.0 && right.min >= 0.0 {
            Self::at_least(0.0).or_nan()
        } else {
            Self::ANY
        }
    }

    /// In words: `between 0 and 1`.
    pub(super) fn words(self) -> String {
        if let Some(number) = self.number() {
            return format!("always {number}");
        }
        let (min, max) = (self.min, self.max);
        let least = if self.min_open { "above" } else { "at least" };
        let most = if self.max_open { "below" } else { "at most" };
        match (min.is_finite(), max.is_finite()) {
            (true, true) if !self.min_open && !self.max_open => format!("between {min} and {max}"),
            (true, true) => format!("{least} {min} and {most} {max}"),
            (true, false) => format!("{least} {min}"),
            (false, true) => format!("{most} {max}"),
            (false, false) => "any number".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: Range = Range::at_least(1.0);
    const FLAG: Range = Range::of(0.0, 1.0);

    #[test]
    fn what_can_never_be_is_nothing() {
        let one = Range::constant;
        assert_eq!(COUNT.narrowed(Op::Eq, one(0.0)), None);
        assert_eq!(COUNT.narrowed(Op::Lt, one(1.0)), None);
        assert_eq!(FLAG.narrowed(Op::Gt, one(1.0)), None);
        assert_eq!(Range::ANY.narrowed(Op::Eq, one(f64::NAN)), None);
        assert_eq!(one(1.0).narrowed(Op::Ne, one(1.0)), None);
        assert!(COUNT.narrowed(Op::Le, one(1.0)).is_some());
        let above = Range::ANY.narrowed(Op::Gt, one(1.0)).unwrap();
        assert_eq!(above.narrowed(Op::Le, one(1.0)), None);
        assert!(!above.holds(1.0) && above.holds(1.1) && !above.nan);
        assert!(!Range::ANY.narrowed(Op::Ne, one(0.0)).unwrap().holds(0.0));
        assert_eq!(
            FLAG.narrowed(Op::Ne, one(0.0))
                .unwrap()
                .narrowed(Op::Le, one(0.0)),
            None
        );
    }

    #[test]
    fn what_always_is_needs_a_number() {
        let one = Range::constant;
        assert!(COUNT.always(Op::Gt, one(0.0)) && COUNT.always(Op::Ge, one(1.0)));
        assert!(!COUNT.always(Op::Gt, one(1.0)));
        assert!(!Range::at_least(0.0).or_nan().always(Op::Ge, one(0.0)));
        assert!(one(1.0).always(Op::Ne, one(2.0)));
    }

    #[test]
    fn arithmetic_keeps_what_is_known() {
        let one = Range::constant;
        assert_eq!(one(6.0).computed(Op::Div, one(4.0)).number(), Some(1.5));
        assert_eq!(one(1.0).computed(Op::Sub, FLAG), FLAG);
        assert_eq!(FLAG.computed(Op::Mul, one(100.0)), Range::of(0.0, 100.0));
        assert_eq!(FLAG.computed(Op::Div, one(2.0)), Range::of(0.0, 0.5));
        assert!(FLAG.computed(Op::Div, FLAG).nan);
        assert!(
            one(1.0)
                .computed(Op::Div, one(0.0))
                .number()
                .unwrap()
                .is_infinite()
        );
        assert_eq!(COUNT.negative().words(), "at most -1");
        assert_eq!(FLAG.or(Range::of(3.0, 4.0)).words(), "between 0 and 4");
    }
}
