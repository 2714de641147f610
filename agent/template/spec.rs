//! What stands between the `%` and the verb of a `printf` format.

use crate::value::Value;

/// Widest field and most decimals; Go stops at the same.
const WIDTH_MAX: usize = 1_000_000;

/// The values a format takes one by one.
pub(crate) struct Arguments<'a> {
    pub(crate) values: &'a [Value],
    pub(crate) next: usize,
    /// Whether the format chose arguments itself; then none is called extra.
    pub(crate) reordered: bool,
}

impl<'a> Arguments<'a> {
    pub(crate) fn take(&mut self) -> Option<&'a Value> {
        let value = self.values.get(self.next);
        self.next += usize::from(value.is_some());
        value
    }

    /// `[2]`
    fn choose(&mut self, letters: &mut std::str::Chars<'_>) -> Result<(), &'static str> {
        let Some(inside) = letters.as_str().strip_prefix('[') else {
            return Ok(());
        };
        self.reordered = true;
        let (number, behind) = inside.split_once(']').ok_or("%!(BADINDEX)")?;
        *letters = behind.chars();
        let number: usize = number.parse().map_err(|_| "%!(BADINDEX)")?;
        if number == 0 || number > self.values.len() {
            return Err("%!(BADINDEX)");
        }
        self.next = number - 1;
        Ok(())
    }
}

/// Flags, width and precision of one verb.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spec {
    pub(crate) minus: bool,
    pub(crate) plus: bool,
    pub(crate) sharp: bool,
    pub(crate) space: bool,
    pub(crate) zero: bool,
    pub(crate) width: usize,
    pub(crate) precision: Option<usize>,
}

impl Spec {
    pub(crate) fn read(
        letters: &mut std::str::Chars<'_>,
        arguments: &mut Arguments<'_>,
    ) -> Result<Self, &'static str> {
        let mut spec = Self::default();
        while let Some(flag) = letters.as_str().chars().next() {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                '0' => spec.zero = true,
                _ => break,
            }
            letters.next();
        }
        arguments.choose(letters)?;
        if let Some(width) = spec.number(letters, arguments, "%!(BADWIDTH)")? {
            spec.minus |= width < 0;
            spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(0);
        }
        if letters.as_str().starts_with('.') {
            letters.next();
            arguments.choose(letters)?;
            let precision = spec.number(letters, arguments, "%!(BADPREC)")?.unwrap_or(0);
            spec.precision = Some(usize::try_from(precision).map_err(|_| "%!(BADPREC)")?);
        }
        arguments.choose(letters)?;
        // A zero in front of a left-aligned field would change its value.
        spec.zero &= !spec.minus;
        Ok(spec)
    }

    /// A number, or `*`, which takes it from the arguments.
    fn number(
        &self,
        letters: &mut std::str::Chars<'_>,
        arguments: &mut Arguments<'_>,
        complaint: &'static str,
    ) -> Result<Option<i64>, &'static str> {
        let rest = letters.as_str();
        let number = if let Some(behind) = rest.strip_prefix('*') {
            *letters = behind.chars();
            match arguments.take() {
                Some(Value::Int(number)) => *number,
                _ => return Err(complaint),
            }
        } else {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                return Ok(None);
            }
            let number = rest.get(..digits).unwrap_or_default();
            *letters = rest.get(digits..).unwrap_or_default().chars();
            number.parse().map_err(|_| complaint)?
        };
        let small = usize::try_from(number.unsigned_abs()).is_ok_and(|number| number <= WIDTH_MAX);
        if small { Ok(Some(number)) } else { Err(complaint) }
    }

    pub(crate) fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (.., true) => " ",
            _ => "",
        }
    }
}
