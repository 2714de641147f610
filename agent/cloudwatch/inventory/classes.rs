//! What a class of machine has, by its name: processors and memory. AWS does not say it beside a database, a cache or a broker.

/// GiB that Redis may use of a cache node, by family and size; the rest is the machine's own.
const CACHES: [(&str, &[(&str, f64)]); 4] = [
    ("t", &[("micro", 0.5), ("small", 1.37), ("medium", 3.09)]),
    (
        "m",
        &[
            ("large", 6.38),
            ("xlarge", 12.93),
            ("2xlarge", 26.04),
            ("4xlarge", 52.26),
            ("8xlarge", 103.68),
            ("12xlarge", 157.12),
            ("16xlarge", 209.55),
            ("24xlarge", 314.32),
        ],
    ),
    (
        "r",
        &[
            ("large", 13.07),
            ("xlarge", 26.32),
            ("2xlarge", 52.82),
            ("4xlarge", 105.81),
            ("8xlarge", 209.55),
            ("12xlarge", 317.77),
            ("16xlarge", 419.09),
            ("24xlarge", 635.61),
        ],
    ),
    (
        "c",
        &[
            ("large", 3.09),
            ("xlarge", 6.38),
            ("2xlarge", 12.93),
            ("4xlarge", 26.04),
        ],
    ),
];
const GIB: f64 = 1_073_741_824.0;

/// A class as AWS names it, taken apart: `db.t4g.large`, `cache.m6g.large`, `kafka.t3.small`, `m5.large`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class<'a> {
    family: &'a str,
    size: &'a str,
    is_cache: bool,
}

impl<'a> Class<'a> {
    /// None for names that are not of this form, such as `db.serverless`.
    pub(crate) fn read(name: &'a str) -> Option<Self> {
        let bare = name.trim_start_matches("express.");
        let bare = ["db.", "cache.", "kafka."]
            .iter()
            .find_map(|prefix| bare.strip_prefix(prefix))
            .unwrap_or(bare);
        let mut parts = bare.split('.');
        let (family, size) = (parts.next()?, parts.next()?);
        let is_family = family.starts_with(|letter: char| letter.is_ascii_lowercase())
            && family.contains(|letter: char| letter.is_ascii_digit());
        is_family.then_some(Self {
            family,
            size,
            is_cache: name.starts_with("cache."),
        })
    }

    /// It has credits instead of whole processors.
    pub(crate) fn is_burstable(&self) -> bool {
        self.letter() == "t"
    }

    pub(crate) fn family(&self) -> &'a str {
        self.family
    }

    pub(crate) fn size(&self) -> &'a str {
        self.size
    }

    /// Its disks have credits of their own: the smaller half of each family.
    pub(crate) fn has_disk_credits(&self) -> bool {
        matches!(self.vcpus(), Some(vcpus) if vcpus <= 8.0)
    }

    pub(crate) fn vcpus(&self) -> Option<f64> {
        let is_one = self.is_cache && matches!(self.family, "t1" | "t2") && self.size != "medium";
        match self.size {
            _ if is_one => Some(1.0),
            "nano" | "micro" | "small" | "medium" => match self.letter() {
                "t" => Some(2.0),
                _ => Some(1.0),
            },
            size => Some(self.multiple(size)? * 4.0).map(|vcpus| if size == "large" { 2.0 } else { vcpus }),
        }
    }

    pub(crate) fn memory_bytes(&self) -> Option<f64> {
        if self.is_cache {
            let (_, sizes) = CACHES.iter().find(|(letter, _)| *letter == self.letter())?;
            let (_, gib) = sizes.iter().find(|(size, _)| *size == self.size)?;
            return Some(gib * GIB);
        }
        let gib = match (self.letter(), self.size) {
            ("t", "nano") => 0.5,
            ("t", "micro") => 1.0,
            ("t", "small") => 2.0,
            ("t", "medium") => 4.0,
            (letter, _) => self.vcpus()? * gib_per_vcpu(letter, self.family)?,
        };
        Some(gib * GIB)
    }

    fn letter(&self) -> &'a str {
        let end = self.family.find(|letter: char| letter.is_ascii_digit());
        &self.family[..end.unwrap_or(self.family.len())]
    }

    /// Of an `xlarge`.
    fn multiple(&self, size: &str) -> Option<f64> {
        match size {
            "large" => Some(0.5),
            "xlarge" => Some(1.0),
            size => size.strip_suffix("xlarge")?.parse().ok(),
        }
    }
}

fn gib_per_vcpu(letter: &str, family: &str) -> Option<f64> {
    match letter {
        "t" | "m" => Some(4.0),
        "c" => Some(2.0),
        "r" | "z" => Some(8.0),
        "x" if family.starts_with("x1e") => Some(30.5),
        "x" if family.starts_with("x1") => Some(15.25),
        "x" => Some(16.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_what_aws_lists_for_them() {
        for (name, vcpus, gib) in [
            ("db.t4g.large", 2.0, 8.0),
            ("db.t3.micro", 2.0, 1.0),
            ("db.m6g.xlarge", 4.0, 16.0),
            ("db.r5.24xlarge", 96.0, 768.0),
            ("db.x2g.large", 2.0, 32.0),
            ("db.x1e.xlarge", 4.0, 122.0),
            ("cache.m6g.large", 2.0, 6.38),
            ("cache.t4g.micro", 2.0, 0.5),
            ("cache.t2.micro", 1.0, 0.5),
            ("cache.r6g.2xlarge", 8.0, 52.82),
            ("kafka.t3.small", 2.0, 2.0),
            ("kafka.m7g.large", 2.0, 8.0),
            ("express.m7g.4xlarge", 16.0, 64.0),
            ("m5.large", 2.0, 8.0),
        ] {
            let class = Class::read(name).unwrap();
            assert_eq!(class.vcpus(), Some(vcpus), "{name}");
            assert_eq!(class.memory_bytes().map(|bytes| bytes / GIB), Some(gib), "{name}");
        }
        assert!(Class::read("db.t4g.large").unwrap().is_burstable());
        assert!(!Class::read("db.m6g.large").unwrap().is_burstable());
        assert_eq!(Class::read("db.serverless"), None);
    }
}
