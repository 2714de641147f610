//! Names of log groups and streams: patterns that a line's place is filled into.
//!
//! Whatever comes out of one is a name that AWS takes: other letters become `_`, and nothing is longer than it may be.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::mark::{FileMark, Form};
use crate::source::Container;

/// Most letters of a name of AWS.
const LETTERS_MAX: usize = 512;
/// What is not filled in has less, so that the rest fits.
const FIXED_LETTERS_MAX: usize = 128;
const HOLES: [&str; 4] = ["namespace", "pod", "container", "host"];

/// Where a line is from, in the words of a pattern.
#[derive(Clone, Copy, Debug)]
pub(crate) struct From<'a> {
    namespace: &'a str,
    pod: &'a str,
    container: &'a str,
    host: &'a str,
}

impl<'a> From<'a> {
    /// Lines of files have the host in place of a pod, and the file's name in place of a container; records that somebody has
    /// given, what he has said, and else his host and the name he has given them.
    pub(crate) fn of(mark: &'a FileMark, host: &'a str) -> Self {
        if let Some(facts) = &mark.facts {
            let host = facts.said("host").unwrap_or(host);
            return Self {
                namespace: facts.said("namespace").unwrap_or("host"),
                pod: facts.said("pod").unwrap_or(host),
                container: facts.said("container").unwrap_or(&facts.source),
                host,
            };
        }
        let container = (mark.form == Form::Cri)
            .then(|| Container::of(&mark.base))
            .flatten();
        match container {
            Some(container) => Self {
                namespace: container.namespace,
                pod: container.pod,
                container: container.name,
                host,
            },
            None => Self {
                namespace: "host",
                pod: host,
                container: mark.base.rsplit('/').next().unwrap_or_default(),
                host,
            },
        }
    }

    fn part(&self, hole: &str) -> &'a str {
        match hole {
            "namespace" => self.namespace,
            "pod" => self.pod,
            "container" => self.container,
            _ => self.host,
        }
    }
}

/// Text and names of holes in turn; it begins and ends with text, which may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    text: String,
    parts: Vec<String>,
}

impl Pattern {
    /// `fits` is whether AWS takes a letter.
    fn new(text: &str, fits: fn(char) -> bool) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a name without a letter".to_owned());
        }
        let known = || format!("{{{}}} are filled in, each once", HOLES.join("}, {"));
        let mut parts = Vec::new();
        let mut seen = Vec::new();
        let mut rest = text;
        while let Some((front, behind)) = rest.split_once('{') {
            let Some((hole, behind)) = behind.split_once('}') else {
                return Err(format!("{text:?}: a {{ without its }}; {}", known()));
            };
            if !HOLES.contains(&hole) || seen.contains(&hole) {
                return Err(format!("{text:?}: {}", known()));
            }
            seen.push(hole);
            parts.extend([front.to_owned(), hole.to_owned()]);
            rest = behind;
        }
        parts.push(rest.to_owned());
        let fixed: String = parts.iter().step_by(2).map(String::as_str).collect();
        if let Some(letter) = fixed.chars().find(|letter| !fits(*letter)) {
            return Err(format!("{text:?}: AWS takes no {letter:?} in it"));
        }
        if fixed.chars().count() > FIXED_LETTERS_MAX {
            return Err(format!("{text:?}: longer than {FIXED_LETTERS_MAX} letters"));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// The text before the first hole.
    fn front(&self) -> &str {
        self.parts.first().map_or("", String::as_str)
    }

    fn fill(&self, from: &From<'_>, fits: fn(char) -> bool) -> String {
        let mut name = String::new();
        for (nth, part) in self.parts.iter().enumerate() {
            let is_hole = nth % 2 == 1;
            let text = if is_hole { from.part(part) } else { part };
            name.extend(text.chars().map(|letter| if fits(letter) { letter } else { '_' }));
        }
        if name.is_empty() {
            return "_".to_owned();
        }
        name.chars().take(LETTERS_MAX).collect()
    }
}

fn fits_group(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_-/.#".contains(letter)
}

fn fits_stream(letter: char) -> bool {
    !letter.is_control() && letter != ':' && letter != '*'
}

/// Which group a line goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupName(Pattern);

/// Which stream of its group a line goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamName(Pattern);

impl GroupName {
    fn new(text: &str) -> Result<Self, String> {
        let pattern = Pattern::new(text, fits_group).map_err(|why| format!("log group {why}"))?;
        if text.starts_with("aws/") {
            return Err(format!("log group {text:?}: names under aws/ are AWS' own"));
        }
        Ok(Self(pattern))
    }

    pub(crate) fn of(&self, from: &From<'_>) -> String {
        self.0.fill(from, fits_group)
    }

    /// Every group's name begins with it.
    pub(crate) fn front(&self) -> &str {
        self.0.front()
    }

    /// As it is in the configuration.
    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }
}

impl StreamName {
    fn new(text: &str) -> Result<Self, String> {
        let pattern = Pattern::new(text, fits_stream).map_err(|why| format!("log stream {why}"))?;
        Ok(Self(pattern))
    }

    pub(crate) fn of(&self, from: &From<'_>) -> String {
        self.0.fill(from, fits_stream)
    }
}

impl Default for GroupName {
    fn default() -> Self {
        Self(Pattern {
            text: "/skopos/{namespace}".to_owned(),
            parts: ["/skopos/", "namespace", ""].map(str::to_owned).to_vec(),
        })
    }
}

impl Default for StreamName {
    fn default() -> Self {
        Self(Pattern {
            text: "{pod}/{container}".to_owned(),
            parts: ["", "pod", "/", "container", ""].map(str::to_owned).to_vec(),
        })
    }
}

impl<'de> Deserialize<'de> for GroupName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for StreamName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mark::Facts;
    use crate::sink::document::tests::mark;

    #[test]
    fn defaults_are_what_they_read_as() {
        assert_eq!(GroupName::new("/skopos/{namespace}"), Ok(GroupName::default()));
        assert_eq!(StreamName::new("{pod}/{container}"), Ok(StreamName::default()));
    }

    #[test]
    fn a_line_goes_to_the_group_of_its_namespace_and_the_stream_of_its_container() {
        let pod = mark("/var/log/pods/shop_api-0_u-1/web/3.log", Form::Cri);
        let from = From::of(&pod, "node-1");
        assert_eq!(GroupName::default().of(&from), "/skopos/shop");
        assert_eq!(StreamName::default().of(&from), "api-0/web");
        let all = StreamName::new("{host}.{namespace}.{pod}.{container}").unwrap();
        assert_eq!(all.of(&from), "node-1.shop.api-0.web");
        let file = mark("/var/log/a:b.log", Form::Plain);
        let from = From::of(&file, "node-1");
        assert_eq!(GroupName::default().of(&from), "/skopos/host");
        assert_eq!(StreamName::default().of(&from), "node-1/a_b.log");
        assert_eq!(GroupName::new("a{container}").unwrap().of(&from), "aa_b.log");
    }

    #[test]
    fn a_record_that_was_given_goes_where_its_giver_says() {
        let mut spooled = mark("/data/logs/spool", Form::Spool);
        let mut names = |more: &[(&'static str, &str)]| {
            let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
            spooled.facts = Some(std::sync::Arc::new(Facts::new("nginx.access", more)));
            let from = From::of(&spooled, "node-1");
            (GroupName::default().of(&from), StreamName::default().of(&from))
        };
        let both = |group: &str, stream: &str| (group.to_owned(), stream.to_owned());
        let pod = [("namespace", "shop"), ("pod", "api-0"), ("container", "web")];
        assert_eq!(names(&pod), both("/skopos/shop", "api-0/web"));
        assert_eq!(names(&[]), both("/skopos/host", "node-1/nginx.access"));
        let elsewhere = names(&[("host", "node-9")]);
        assert_eq!(elsewhere, both("/skopos/host", "node-9/nginx.access"));
    }

    #[test]
    fn a_name_that_aws_would_not_take_is_refused_with_the_reason() {
        for (bad, why) in [
            ("", "without a letter"),
            ("/a b", "AWS takes no ' '"),
            (
                "/{namspace}",
                "{namespace}, {pod}, {container}, {host} are filled in",
            ),
            ("/{pod}{pod}", "each once"),
            ("/{pod", "without its }"),
            ("/pod}", "AWS takes no '}'"),
            ("aws/x", "AWS' own"),
            (&"a".repeat(129), "longer than 128"),
        ] {
            let told = GroupName::new(bad).unwrap_err();
            assert!(told.contains(why), "{bad}: {told}");
        }
        assert!(StreamName::new("a:b").unwrap_err().contains("AWS takes no ':'"));
        assert!(StreamName::new("a b{pod}").is_ok());
    }

    proptest! {
        #[test]
        fn whatever_a_file_is_called_its_group_and_stream_are_names_of_aws(base in ".{0,400}", host in ".{0,300}") {
            let file = mark(&base, Form::Plain);
            let from = From::of(&file, &host);
            let all = "{host}{namespace}{pod}{container}";
            let (group, stream) = (GroupName::new(all).unwrap().of(&from), StreamName::new(all).unwrap().of(&from));
            prop_assert!(group.chars().all(fits_group) && stream.chars().all(fits_stream));
            for name in [group, stream] {
                prop_assert!((1..=LETTERS_MAX).contains(&name.chars().count()));
            }
        }
    }
}
