//! Which nodes can be asked for the last lines of their pods.

use std::path::Path;
use std::time::Duration;

use net::{HttpConfig, Reach, is_http, without_secrets};

net::http_keys! {
    /// One entry of `logs.nodes`: a node role that is asked for the last lines of its pods.
    pub struct Node {
        /// The node's name, as the label `node` of alerts has it.
        pub node: String,
        /// Where its web server answers, for example `https://10.0.3.7:9600`.
        pub url: String,
        /// Longest wait for its answer; whoever asks may wait less.
        #[serde(deserialize_with = "model::text::duration::deserialize")]
        pub timeout: Duration, // timeout: 2s
    }
}

impl Default for Node {
    fn default() -> Self {
        Self {
            node: String::new(),
            url: String::new(),
            timeout: Duration::from_secs(2),
            http: HttpConfig::default(),
        }
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        (&self.node, &self.url, self.timeout, &self.http)
            == (&other.node, &other.url, other.timeout, &other.http)
    }
}

impl Node {
    /// What is wrong with it, each a sentence that begins with the key.
    fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.node.is_empty() {
            wrong.push("node: missing; write the node's name as the label node has it".to_owned());
        }
        if self.url.is_empty() {
            wrong.push("url: missing; write for example http://10.0.3.7:9600".to_owned());
        } else if !is_http(&self.url) {
            wrong.push(format!(
                "url: not an http:// or https:// URL: {:?}",
                without_secrets(&self.url)
            ));
        } else if self.url.contains(['?', '#']) {
            wrong.push("url: has a query or fragment; give host, port and path".to_owned());
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(30)).contains(&self.timeout) {
            wrong.push("timeout: not between 100ms and 30s".to_owned());
        }
        match self.http.check() {
            mistakes if mistakes.is_empty() => wrong.extend(self.reach().err()),
            mistakes => wrong.extend(mistakes),
        }
        wrong
    }

    pub(crate) fn reach(&self) -> Result<Reach, String> {
        self.http.read(Path::new(""))
    }
}

/// What is wrong with the list; no two may share a name.
pub(crate) fn mistakes(nodes: &[Node]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (nth, node) in nodes.iter().enumerate() {
        let place = format!("logs.nodes[{nth}]");
        wrong.extend(node.check().iter().map(|sentence| format!("{place}.{sentence}")));
        let mut earlier = nodes.iter().take(nth);
        if let Some(first) = earlier.position(|other| other.node == node.node)
            && !node.node.is_empty()
        {
            wrong.push(format!(
                "{place}.node: {:?} is also the name of logs.nodes[{first}]",
                node.node
            ));
        }
    }
    wrong
}
