//! A source: the files that one writer has written one after the other under one name.
//!
//! Container files are read in turn, the next one only when nothing can come in the one before, so that records
//! split over two files are joined. Plain files of a source have nothing to do with each other.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use crate::docker;
use crate::join::Join;
use crate::mark::{Facts, Form, Print};
use crate::multiline::Multiline;
use crate::plan::{Bucket, Plan};
use crate::reader::danger::Speed;

#[derive(Default)]
pub(crate) struct Source {
    /// All files that are followed.
    pub(crate) files: Vec<usize>,
    /// Container files that are being read or still to be, oldest first; the first one is being read.
    pub(crate) queue: VecDeque<usize>,
    pub(crate) join: Join,
    /// Fronts of contents that have been truncated away, the last few: a copy of one is no news.
    pub(crate) heads: Vec<Print>,
    /// Likewise of files that are no more: what is packed with one of them has been read.
    pub(crate) ended: Vec<Print>,
    pub(crate) speed: Option<Speed>,
    pub(crate) multiline: Multiline,
    /// What is done with its lines.
    pub(crate) plan: Arc<Plan>,
    pub(crate) bucket: Bucket,
}

/// Behind the name of a file that was packed.
pub(crate) const PACKED: &str = ".gz";
/// Behind the container's id in the names of Docker's files.
const DOCKER: &str = "-json.log";
/// Fronts remembered.
const HEADS_MAX: usize = 16;

impl Source {
    /// Whether a file may be read now.
    pub(crate) fn admits(&self, file: usize) -> bool {
        self.queue.front() == Some(&file) || !self.queue.contains(&file)
    }

    /// Keeps the front of a content that is gone.
    pub(crate) fn remember(&mut self, head: Print) {
        remember(&mut self.heads, head);
    }

    /// Likewise of a file that is gone.
    pub(crate) fn remember_ended(&mut self, head: Print) {
        remember(&mut self.ended, head);
    }

    /// Per stream, where in `file` a record begins that is not finished.
    pub(crate) fn open_in(&self, file: usize) -> [Option<u64>; 3] {
        let (partial, several) = (self.join.open_in(file), self.multiline.open_in(file));
        std::array::from_fn(|stream| {
            let of = |open: &[Option<u64>; 3]| open.get(stream).copied().flatten();
            // What is partial comes behind what is held.
            of(&several).or(of(&partial))
        })
    }

    pub(crate) fn remove(&mut self, file: usize) {
        self.files.retain(|known| *known != file);
        self.queue.retain(|known| *known != file);
    }
}

fn remember(heads: &mut Vec<Print>, head: Print) {
    if heads.len() == HEADS_MAX {
        heads.remove(0);
    }
    heads.push(head);
}

/// Whose log a container's file is, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Container<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) uid: &'a str,
    pub(crate) name: &'a str,
    /// How often it had been started anew.
    pub(crate) restart: u32,
}

impl<'a> Container<'a> {
    /// Of `<root>/<namespace>_<pod>_<uid>/<container>/<n>.log`.
    pub(crate) fn of(base: &'a str) -> Option<Self> {
        let mut parts = base.rsplit('/');
        let restart = parts.next()?.strip_suffix(".log")?.parse().ok()?;
        let name = parts.next()?;
        // None of the three may contain an underscore.
        let mut whose = parts.next()?.splitn(3, '_');
        Some(Self {
            namespace: whose.next()?,
            pod: whose.next()?,
            uid: whose.next()?,
            name,
            restart,
        })
    }
}

/// Whose the lines of a file with this name are: the short name shown with them, and more where the path does not say it all.
pub(crate) fn whose(form: Form, base: &Path) -> (Arc<str>, Option<Arc<Facts>>) {
    let facts = match form {
        Form::Cri => docker::whose(base).map(Arc::new),
        Form::Plain | Form::Spool => None,
    };
    let source = match &facts {
        Some(facts) => Arc::clone(&facts.source),
        None => name(form, base),
    };
    (source, facts)
}

/// `<root>/<namespace>_<pod>_<uid>/<container>/<n>.log` as `namespace/pod/container`, other files by their name.
pub(crate) fn name(form: Form, base: &Path) -> Arc<str> {
    let part = |path: Option<&Path>| {
        path.and_then(Path::file_name)
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    if form == Form::Plain {
        return part(Some(base)).into();
    }
    let container = base.parent();
    let pod = part(container.and_then(Path::parent));
    // None of the three may contain an underscore.
    let mut parts = pod.splitn(3, '_');
    let (namespace, pod) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!("{namespace}/{pod}/{}", part(container)).into()
}

/// The name a container's file has while it is written: `0.log` of `0.log.20240101-120000`, `<id>-json.log` of
/// `<id>-json.log.1`; none for other files.
pub(crate) fn container_base(name: &str) -> Option<&str> {
    if let Some(id) = docker_id(name) {
        return name.get(..id.len() + DOCKER.len());
    }
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    let rest = name.get(digits..)?.strip_prefix(".log")?;
    let ours = digits > 0 && (rest.is_empty() || rest.starts_with('.'));
    ours.then(|| name.get(..digits + 4)).flatten()
}

/// The container's id in the name of a log of Docker's, rotated or not.
pub(crate) fn docker_id(name: &str) -> Option<&str> {
    let (id, rest) = name.split_once(DOCKER)?;
    (!id.is_empty() && (rest.is_empty() || rest.starts_with('.'))).then_some(id)
}

/// Names of one container's files in this order are its files from the oldest to the newest: Docker counts rotated ones
/// from the newest on, the kubelet says when it was.
pub(crate) fn age(name: &str) -> (bool, Reverse<u32>, &str) {
    let name = name.strip_suffix(PACKED).unwrap_or(name);
    let count = docker_id(name).and_then(|_| name.rsplit('.').next()?.parse().ok());
    let is_live = container_base(name) == Some(name);
    (is_live, Reverse(count.unwrap_or(0)), name)
}

/// Whether a name is that of a file packed by gzip, as the kubelet, Docker and logrotate do.
pub(crate) fn is_packed(name: &str) -> bool {
    name.ends_with(PACKED)
}

/// Whether a name is that of a half-made copy, or of one packed in a way that we do not read.
pub(crate) fn is_copy(name: &str) -> bool {
    [".tmp", ".xz", ".zst", ".bz2", ".lz4"]
        .iter()
        .any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_named_by_namespace_pod_and_container() {
        let base = Path::new("/var/log/pods/kube-system_coredns-7f_0b-1/coredns/3.log");
        assert_eq!(&*name(Form::Cri, base), "kube-system/coredns-7f/coredns");
        assert_eq!(&*name(Form::Plain, Path::new("/var/log/kern.log")), "kern.log");
    }

    #[test]
    fn a_path_says_whose_log_it_is() {
        let container = Container::of("/var/log/pods/kube-system_coredns-7f_0b-1/coredns/3.log").unwrap();
        assert_eq!(
            (container.namespace, container.pod),
            ("kube-system", "coredns-7f")
        );
        assert_eq!(
            (container.uid, container.name, container.restart),
            ("0b-1", "coredns", 3)
        );
        assert_eq!(Container::of("/var/log/kern.log"), None);
    }

    #[test]
    fn only_names_of_the_kubelet_are_container_files() {
        assert_eq!(container_base("0.log"), Some("0.log"));
        assert_eq!(container_base("12.log.20240101-120000"), Some("12.log"));
        for other in ["x.log", ".log", "0.logs", "0.txt", "0"] {
            assert_eq!(container_base(other), None, "{other}");
        }
        assert_eq!(container_base("4f5-json.log.2.gz"), Some("4f5-json.log"));
        assert_eq!(container_base("4f5-json.logs"), None);
        assert!(is_copy("0.log.20240101-120000.tmp") && is_packed("0.log.20240101-120000.gz"));
    }

    #[test]
    fn files_of_a_container_are_in_order_of_age() {
        let mut names = [
            "4f-json.log.2",
            "4f-json.log.10.gz",
            "4f-json.log",
            "4f-json.log.1",
        ];
        names.sort_unstable_by_key(|name| age(name));
        assert_eq!(
            names,
            [
                "4f-json.log.10.gz",
                "4f-json.log.2",
                "4f-json.log.1",
                "4f-json.log"
            ]
        );
        assert!(age("0.log.20240101-120000.gz") < age("0.log.20240102-120000"));
        assert!(age("0.log.20240102-120000.gz") < age("0.log"));
    }
}
