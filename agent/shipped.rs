//! What comes in the binary: rules and their runbooks.

/// Name and text of each rule file.
pub(crate) const RULES: &[(&str, &str)] = &[
    ("rules/targets.yaml", include_str!("../rules/targets.yaml")),
    ("rules/node.yaml", include_str!("../rules/node.yaml")),
    ("rules/skopos.yaml", include_str!("../rules/skopos.yaml")),
];

const RUNBOOKS: &str = include_str!("../rules/runbooks.md");

/// The chapter of one alert, without its heading.
pub(crate) fn runbook(alert: &str) -> Option<String> {
    let mut chapter = RUNBOOKS.split("\n## ").skip(1);
    let chapter =
        chapter.find(|chapter| chapter.lines().next().is_some_and(|title| title.trim() == alert))?;
    Some(
        chapter
            .split_once('\n')
            .map(|(_, text)| text.trim().to_owned())
            .unwrap_or_default(),
    )
}
