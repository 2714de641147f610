//! What a label says: text with places that each line fills.

/// Longer values are cut.
const BYTES_MAX: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place),
}

/// What a line has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Namespace,
    Pod,
    Container,
    Stream,
    Level,
    File,
    Field(String),
}

impl Label {
    /// # Errors
    /// A sentence about the place that there is none of.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((front, behind)) = rest.split_once('{') {
            let (name, behind) = behind
                .split_once('}')
                .ok_or_else(|| "a { is not closed".to_owned())?;
            if !front.is_empty() {
                parts.push(Part::Text(front.to_owned()));
            }
            parts.push(Part::Place(place(name)?));
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Whether a line has to be taken apart for it.
    pub(super) fn needs_fields(&self) -> bool {
        let mut parts = self.0.iter();
        parts.any(|part| matches!(part, Part::Place(Place::Field(_))))
    }

    /// A place that the line does not fill stays empty.
    pub(super) fn filled(&self, fill: impl Fn(&Place) -> Option<String>) -> String {
        let mut value = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Place(place) => value.push_str(&fill(place).unwrap_or_default()),
            }
        }
        let end = value.floor_char_boundary(BYTES_MAX);
        value.truncate(end);
        value
    }
}

fn place(name: &str) -> Result<Place, String> {
    match name {
        "namespace" => Ok(Place::Namespace),
        "pod" => Ok(Place::Pod),
        "container" => Ok(Place::Container),
        "stream" => Ok(Place::Stream),
        "level" => Ok(Place::Level),
        "file" => Ok(Place::File),
        _ => match name.strip_prefix("fields.") {
            Some(field) if !field.is_empty() => Ok(Place::Field(field.to_owned())),
            _ => Err(format!(
                "there is no {{{name}}}; there are {{namespace}}, {{pod}}, {{container}}, {{stream}}, {{level}}, {{file}} and {{fields.name}}"
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_long_values_are_cut_between_letters() {
        let label = Label::new("a-{pod}/{fields.to}").unwrap();
        assert!(label.needs_fields());
        let value = label.filled(|place| (*place == Place::Pod).then(|| "p".to_owned()));
        assert_eq!(value, "a-p/");
        let long = Label::new("{pod}").unwrap().filled(|_| Some("é".repeat(100)));
        assert_eq!(long.len(), 128);
        let odd = Label::new("x{pod}").unwrap().filled(|_| Some("é".repeat(100)));
        assert_eq!(odd.len(), 127);
    }
}
