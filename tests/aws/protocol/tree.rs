//! What is said, before it is known in which protocol: one tree, written as XML, JSON or CBOR.

use jiff::tz::TimeZone;
use minicbor::Encoder;
use minicbor::data::Tag;
use model::Timestamp;
use serde_json::{Map, Number, Value};

use crate::asked::escaped;

/// A part of an answer.
#[derive(Clone, Debug, Default)]
pub(crate) enum Tree {
    /// Is left out.
    #[default]
    Nothing,
    Text(String),
    Whole(i64),
    Real(f64),
    Flag(bool),
    Time(Timestamp),
    /// With the name that XML gives to each member.
    List(&'static str, Vec<Tree>),
    Map(Vec<(&'static str, Tree)>),
    /// Names that are data themselves.
    Named(Vec<(String, Tree)>),
}

/// How JSON has times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// Seconds since the epoch.
    Seconds,
    /// ISO 8601.
    Written,
}

/// A map of names to whatever can become a part.
macro_rules! tree {
    ($($name:literal: $value:expr),* $(,)?) => {
        $crate::protocol::tree::Tree::Map(vec![$(($name, $crate::protocol::tree::Tree::from($value))),*])
    };
}
pub(crate) use tree;

impl Tree {
    pub(crate) fn list<T: Into<Self>>(member: &'static str, items: impl IntoIterator<Item = T>) -> Self {
        Self::List(member, items.into_iter().map(Into::into).collect())
    }

    /// As AWS has it in most places.
    pub(crate) fn members<T: Into<Self>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::list("member", items)
    }

    /// Adds to a map.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Self>) -> Self {
        if let Self::Map(pairs) = &mut self {
            pairs.push((name, value.into()));
        }
        self
    }

    /// As an element of this name; nothing if it is nothing.
    pub(crate) fn xml(&self, name: &str, out: &mut String) {
        if matches!(self, Self::Nothing) {
            return;
        }
        out.push_str(&format!("<{name}>"));
        self.xml_inside(out);
        out.push_str(&format!("</{name}>"));
    }

    pub(crate) fn xml_inside(&self, out: &mut String) {
        match self {
            Self::Nothing => {}
            Self::Text(text) => out.push_str(&escaped(text)),
            Self::Whole(number) => out.push_str(&number.to_string()),
            Self::Real(number) => out.push_str(&number.to_string()),
            Self::Flag(flag) => out.push_str(&flag.to_string()),
            Self::Time(time) => out.push_str(&written(*time)),
            Self::List(member, items) => items.iter().for_each(|item| item.xml(member, out)),
            Self::Map(pairs) => pairs.iter().for_each(|(name, value)| value.xml(name, out)),
            Self::Named(pairs) => {
                for (name, value) in pairs {
                    out.push_str(&format!("<entry><key>{}</key>", escaped(name)));
                    value.xml("value", out);
                    out.push_str("</entry>");
                }
            }
        }
    }

    pub(crate) fn json(&self, times: Times) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Text(text) => Value::String(text.clone()),
            Self::Whole(number) => Value::from(*number),
            Self::Real(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
            Self::Flag(flag) => Value::Bool(*flag),
            Self::Time(time) if times == Times::Written => Value::String(written(*time)),
            Self::Time(time) => Value::from(time.seconds()),
            Self::List(_, items) => Value::Array(items.iter().map(|item| item.json(times)).collect()),
            Self::Map(pairs) => {
                let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), value));
                object(pairs, times)
            }
            Self::Named(pairs) => object(pairs.iter().map(|(name, value)| (name.clone(), value)), times),
        }
    }

    pub(crate) fn cbor(&self) -> Vec<u8> {
        let mut to = Encoder::new(Vec::new());
        self.encode(&mut to)
            .expect("a vector takes whatever is written to it");
        to.into_writer()
    }

    fn encode(&self, to: &mut Encoder<Vec<u8>>) -> Encoded {
        match self {
            Self::Nothing => to.null()?,
            Self::Text(text) => to.str(text)?,
            Self::Whole(number) => to.i64(*number)?,
            Self::Real(number) => to.f64(*number)?,
            Self::Flag(flag) => to.bool(*flag)?,
            Self::Time(time) => to.tag(Tag::new(1))?.f64(time.seconds())?,
            Self::List(_, items) => {
                to.array(items.len() as u64)?;
                for item in items {
                    item.encode(to)?;
                }
                to
            }
            Self::Map(pairs) => return encode_map(pairs.iter().map(|(name, value)| (*name, value)), to),
            Self::Named(pairs) => {
                return encode_map(pairs.iter().map(|(name, value)| (name.as_str(), value)), to);
            }
        };
        Ok(())
    }
}

type Encoded = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn encode_map<'a>(
    pairs: impl Iterator<Item = (&'a str, &'a Tree)> + Clone,
    to: &mut Encoder<Vec<u8>>,
) -> Encoded {
    let pairs = pairs.filter(|(_, value)| !matches!(value, Tree::Nothing));
    to.map(pairs.clone().count() as u64)?;
    for (name, value) in pairs {
        to.str(name)?;
        value.encode(to)?;
    }
    Ok(())
}

fn object<'a>(pairs: impl Iterator<Item = (String, &'a Tree)>, times: Times) -> Value {
    let pairs = pairs.filter(|(_, value)| !matches!(value, Tree::Nothing));
    Value::Object(
        pairs
            .map(|(name, value)| (name, value.json(times)))
            .collect::<Map<_, _>>(),
    )
}

/// With milliseconds, as AWS writes it in XML and in JSON with words.
fn written(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(time.millis()).unwrap_or_default();
    let time = time.to_zoned(TimeZone::UTC);
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

impl From<&str> for Tree {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Tree {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<String> for Tree {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Tree {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

impl From<u32> for Tree {
    fn from(number: u32) -> Self {
        Self::Whole(i64::from(number))
    }
}

impl From<usize> for Tree {
    fn from(number: usize) -> Self {
        Self::Whole(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Tree {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Tree {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Timestamp> for Tree {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

impl<T: Into<Self>> From<Option<T>> for Tree {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Into::into)
    }
}
