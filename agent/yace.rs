//! `skopos import yace`: a configuration of YACE as a section `cloudwatch`, with what it costs there and here.
//!
//! What cannot be carried over is said and never guessed. Names stay as they are, so rules and dashboards go on working.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use cloudwatch::catalogue::Catalogue;
use cloudwatch::names;
use cloudwatch::plan::{need, price};
use serde::{Deserialize, Serialize};

use crate::buying::Looked;
use crate::config::{self, Document};

const NOT_ASKED: u8 = 2;
const BAD_FILE: u8 = 64;
/// What YACE takes where nothing is said.
const PERIOD: u64 = 300;

/// Ends with 0, with 2 when AWS cannot be asked, and with 64 when the file has mistakes.
#[must_use]
pub fn import(file: &Path, scraping_interval: Duration, live: bool) -> ExitCode {
    let name = file.display().to_string();
    let read = config::read(file).and_then(|text| yaml::read::<Written>(&name, &text));
    let carried = match read {
        Ok(written) => carry(&written, scraping_interval),
        Err(complaint) => {
            _ = writeln!(std::io::stderr(), "{complaint}");
            return ExitCode::from(BAD_FILE);
        }
    };
    for note in &carried.notes {
        _ = writeln!(std::io::stderr(), "{name}: {note}");
    }
    let text = yaml::write(&Section {
        cloudwatch: &carried.ours,
    });
    let document: Document = match yaml::read("the section", &text) {
        Ok(document) => document,
        Err(complaint) => {
            _ = writeln!(std::io::stderr(), "{complaint}");
            return ExitCode::from(BAD_FILE);
        }
    };
    let mistakes = document.cloudwatch.check();
    for mistake in &mistakes {
        _ = writeln!(std::io::stderr(), "{name}: cloudwatch.{mistake}");
    }
    if !mistakes.is_empty() {
        return ExitCode::from(BAD_FILE);
    }
    if std::io::stdout().write_all(text.as_bytes()).is_err() {
        return ExitCode::FAILURE;
    }
    if !live {
        for line in per_resource(&carried, scraping_interval) {
            _ = writeln!(std::io::stderr(), "{line}");
        }
        return ExitCode::SUCCESS;
    }
    match Looked::new(&document, cloudwatch::listed_needs(&document.cloudwatch).into()) {
        Ok(looked) => {
            for problem in &looked.problems {
                _ = writeln!(std::io::stderr(), "skopos: {problem}");
            }
            _ = writeln!(std::io::stderr(), "{}", compared(&looked, scraping_interval));
            ExitCode::SUCCESS
        }
        Err(error) => {
            _ = writeln!(std::io::stderr(), "skopos: {error}");
            ExitCode::from(NOT_ASKED)
        }
    }
}

/// What all series cost there and here.
fn compared(looked: &Looked, scraping_interval: Duration) -> String {
    let series = looked.count();
    #[expect(clippy::cast_precision_loss, reason = "series that somebody pays for")]
    let before = series as f64 * price::monthly(scraping_interval);
    format!(
        "{series} series: ${before:.2} a month before (each is asked for every {}), ${:.2} after, with all points of one minute; \
         shipped rules and dashboards are not in it, see skopos cloudwatch plan",
        model::text::duration::short(scraping_interval),
        looked.outlook.total()
    )
}

/// The same of one resource of each namespace, as long as nobody knows how many there are.
fn per_resource(carried: &Carried, scraping_interval: Duration) -> Vec<String> {
    let lines = carried.series.iter().map(|(namespace, series)| {
        #[expect(clippy::cast_precision_loss, reason = "metrics of a file")]
        let before = series.len() as f64 * price::monthly(scraping_interval);
        let after: f64 = series.values().map(|interval| price::monthly(*interval)).sum();
        format!(
            "{namespace}: {} series for each set of dimensions, ${before:.2} a month before, ${after:.2} after; --live counts them",
            series.len()
        )
    });
    lines.collect()
}

/// What was written, as YACE reads it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Written {
    discovery: Discovery,
    #[serde(rename = "static")]
    fixed: Vec<Job>,
    custom_namespace: Vec<Job>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Discovery {
    exported_tags_on_metrics: BTreeMap<String, Vec<String>>,
    jobs: Vec<Job>,
}

/// A job of any kind; each uses a part of the keys.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Job {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    namespace: String,
    regions: Vec<String>,
    roles: Vec<Role>,
    search_tags: Vec<Tag>,
    custom_tags: Vec<Tag>,
    dimensions: Vec<Dimension>,
    dimension_name_requirements: Vec<String>,
    enhanced_metrics: Vec<Named>,
    statistics: Vec<String>,
    period: Option<u64>,
    delay: Option<u64>,
    metrics: Vec<Metric>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Role {
    role_arn: String,
    external_id: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default)]
struct Tag {
    key: String,
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Dimension {
    name: String,
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metric {
    name: String,
    statistics: Vec<String>,
    period: Option<u64>,
    delay: Option<u64>,
}

/// What is printed.
#[derive(Serialize)]
struct Section<'a> {
    cloudwatch: &'a Ours,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Ours {
    enabled: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    regions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accounts: Vec<OurAccount>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    only_tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    namespaces: Vec<OurNamespace>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<OurMetric>,
}

#[derive(Debug, PartialEq, Serialize)]
struct OurAccount {
    role_arn: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    external_id: String,
    regions: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize)]
struct OurNamespace {
    namespace: String,
    dimensions: Vec<String>,
    metrics: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, PartialEq, Serialize)]
struct OurMetric {
    name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    interval: String,
}

#[derive(Default)]
struct Carried {
    ours: Ours,
    notes: Vec<String>,
    /// By namespace, the names of series and how often each is asked for here.
    series: BTreeMap<String, BTreeMap<String, Duration>>,
}

/// Where a job looks: a role, or none, and a region.
type Spot = (Role, String);

fn spots(job: &Job) -> BTreeSet<Spot> {
    let roles = match job.roles.is_empty() {
        true => vec![Role::default()],
        false => job.roles.clone(),
    };
    let pairs = roles.iter().flat_map(|role| {
        job.regions
            .iter()
            .map(move |region| (role.clone(), region.clone()))
    });
    pairs.collect()
}

fn carry(written: &Written, scraping_interval: Duration) -> Carried {
    let mut carried = Carried::default();
    carried.ours.enabled = true;
    let found = &written.discovery.jobs;
    let jobs: Vec<&Job> = found
        .iter()
        .chain(&written.fixed)
        .chain(&written.custom_namespace)
        .collect();
    let everywhere: BTreeSet<Spot> = jobs.iter().flat_map(|job| spots(job)).collect();
    carried.places(&everywhere);
    carried.tags(written);
    let mut metrics: BTreeMap<(String, BTreeMap<String, String>), Duration> = BTreeMap::new();
    let mut added: BTreeMap<(String, Vec<String>), BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    let known = Catalogue::with(&[]);
    for (number, job) in jobs.into_iter().enumerate() {
        let title = title(job, number);
        let namespace = match namespace(job) {
            Ok(namespace) => namespace,
            Err(why) => {
                carried.notes.push(format!("{title} is left out: {why}"));
                continue;
            }
        };
        carried.job(&title, job);
        let own: BTreeMap<String, String> = job
            .dimensions
            .iter()
            .map(|dimension| (names::dimension(&dimension.name), dimension.value.clone()))
            .collect();
        let places = selectors(&spots(job), &everywhere);
        let dimensions: Vec<String> = match job.dimensions.is_empty() {
            true => job.dimension_name_requirements.clone(),
            false => job
                .dimensions
                .iter()
                .map(|dimension| dimension.name.clone())
                .collect(),
        };
        for metric in &job.metrics {
            let period = metric.period.or(job.period).unwrap_or(PERIOD);
            let interval = interval(period, scraping_interval);
            let statistics = match metric.statistics.is_empty() {
                true => &job.statistics,
                false => &metric.statistics,
            };
            if statistics.is_empty() {
                let left = &metric.name;
                carried
                    .notes
                    .push(format!("{title}: {left} is left out: it has no statistics"));
            }
            for statistic in statistics {
                let name = names::metric(&namespace, &metric.name, statistic);
                if known.find(&name).is_empty() {
                    if dimensions.is_empty() {
                        carried.notes.push(format!(
                            "{title}: {} ({statistic}) is left out: the catalogue does not know it, and its dimensions are not \
                             said; add dimensionNameRequirements, or write it in cloudwatch.namespaces",
                            metric.name
                        ));
                        continue;
                    }
                    let entry = added.entry((namespace.clone(), dimensions.clone())).or_default();
                    let of = entry.entry(metric.name.clone()).or_default();
                    of.insert(statistic.clone());
                }
                let all = carried.series.entry(namespace.clone()).or_default();
                let least = all.entry(name.clone()).or_insert(interval);
                *least = interval.min(*least);
                for place in &places {
                    let labels: BTreeMap<String, String> =
                        own.clone().into_iter().chain(place.clone()).collect();
                    let least = metrics.entry((name.clone(), labels)).or_insert(interval);
                    *least = interval.min(*least);
                }
            }
        }
    }
    carried.ours.namespaces = added
        .into_iter()
        .map(|((namespace, dimensions), metrics)| OurNamespace {
            namespace,
            dimensions,
            metrics,
        })
        .collect();
    carried.ours.metrics = metrics
        .into_iter()
        .map(|((name, labels), interval)| OurMetric {
            name,
            labels,
            interval: model::text::duration::short(interval),
        })
        .collect();
    carried
}

impl Carried {
    fn places(&mut self, everywhere: &BTreeSet<Spot>) {
        let mut by_role: BTreeMap<&Role, Vec<String>> = BTreeMap::new();
        for (role, region) in everywhere {
            by_role.entry(role).or_default().push(region.clone());
        }
        // One account that is our own needs no more than its regions.
        let is_own = by_role.keys().all(|role| role.role_arn.is_empty());
        for (role, regions) in by_role {
            if is_own {
                self.ours.regions = regions;
            } else {
                self.ours.accounts.push(OurAccount {
                    role_arn: role.role_arn.clone(),
                    external_id: role.external_id.clone(),
                    regions,
                });
            }
        }
    }

    fn tags(&mut self, written: &Written) {
        let exported: BTreeSet<&String> = written
            .discovery
            .exported_tags_on_metrics
            .values()
            .flatten()
            .collect();
        self.ours.tags = exported.into_iter().cloned().collect();
        if !self.ours.tags.is_empty() {
            self.notes.push(
                "exportedTagsOnMetrics: tags become labels of the info metrics (aws_rds_info) and not of each metric; join them in \
                 rules that read them"
                    .to_owned(),
            );
        }
        let sets: BTreeSet<BTreeSet<&Tag>> = written
            .discovery
            .jobs
            .iter()
            .map(|job| job.search_tags.iter().collect())
            .collect();
        if sets.len() > 1 {
            self.notes.push(
                "searchTags are left out: they differ among jobs, and cloudwatch.only_tags is for all of them; more may be watched \
                 than before"
                    .to_owned(),
            );
            return;
        }
        let one = sets.into_iter().next().unwrap_or_default();
        self.ours.only_tags = one
            .into_iter()
            .map(|tag| (tag.key.clone(), whole(&tag.value)))
            .collect();
    }

    /// What a job says that has no counterpart.
    fn job(&mut self, title: &str, job: &Job) {
        let mut note = |words: &str| self.notes.push(format!("{title}: {words}"));
        if !job.custom_tags.is_empty() {
            note(
                "customTags are left out: series have the labels that AWS gives them; global.external_labels are for all",
            );
        }
        if job.delay.is_some() || job.metrics.iter().any(|metric| metric.delay.is_some()) {
            note(
                "delay is left out: each minute is asked for until it no longer changes (cloudwatch.settled_after)",
            );
        }
        for enhanced in &job.enhanced_metrics {
            note(&format!(
                "enhancedMetrics {} is left out: what is known of a resource is a series anyway, by a name of ours",
                enhanced.name
            ));
        }
    }
}

fn title(job: &Job, number: usize) -> String {
    match (job.name.as_str(), job.kind.as_str()) {
        ("", "") => format!("job {}", number + 1),
        ("", kind) => format!("job {} ({kind})", number + 1),
        (name, _) => format!("job {name}"),
    }
}

/// That of the job, or what its alias stands for.
fn namespace(job: &Job) -> Result<String, String> {
    if !job.namespace.is_empty() {
        return Ok(job.namespace.clone());
    }
    let kind = job.kind.as_str();
    if let Some((_, namespace)) = ALIASES.iter().find(|(alias, _)| *alias == kind) {
        return Ok((*namespace).to_owned());
    }
    match kind.contains('/') || kind.starts_with(|letter: char| letter.is_ascii_uppercase()) {
        true => Ok(kind.to_owned()),
        false => Err(format!(
            "{kind:?} is no type that is known here; write its namespace (AWS/…)"
        )),
    }
}

/// Labels that only the job's places have; one without any where it is all of them.
fn selectors(spots: &BTreeSet<Spot>, everywhere: &BTreeSet<Spot>) -> Vec<BTreeMap<String, String>> {
    if spots == everywhere {
        return vec![BTreeMap::new()];
    }
    let labels = spots.iter().map(|(role, region)| {
        let account = role
            .role_arn
            .split(':')
            .nth(4)
            .filter(|account| !account.is_empty());
        let account = account.map(|account| ("account_id".to_owned(), account.to_owned()));
        account
            .into_iter()
            .chain([("region".to_owned(), region.clone())])
            .collect()
    });
    labels.collect()
}

/// As often as YACE had something new; every five minutes bring all minutes with them.
fn interval(period: u64, scraping_interval: Duration) -> Duration {
    let wanted = Duration::from_secs(period).max(scraping_interval);
    wanted.clamp(need::INTERVAL_MIN, need::INTERVAL_MAX)
}

/// YACE finds its pattern anywhere in a value, ours is for the whole of it.
fn whole(pattern: &str) -> String {
    if pattern.contains('|') {
        // An anchor may belong to one side of it only.
        return format!("(?:.*(?:{pattern}).*)");
    }
    let (begins, pattern) = match pattern.strip_prefix('^') {
        Some(rest) => ("", rest),
        None => (".*", pattern),
    };
    let (ends, pattern) = match pattern.strip_suffix('$').filter(|rest| !rest.ends_with('\\')) {
        Some(rest) => ("", rest),
        None => (".*", pattern),
    };
    match (begins, ends) {
        ("", "") => pattern.to_owned(),
        _ => format!("{begins}(?:{pattern}){ends}"),
    }
}

/// YACE's short names of services.
const ALIASES: [(&str, &str); 44] = [
    ("acm", "AWS/CertificateManager"),
    ("alb", "AWS/ApplicationELB"),
    ("apigateway", "AWS/ApiGateway"),
    ("asg", "AWS/AutoScaling"),
    ("athena", "AWS/Athena"),
    ("backup", "AWS/Backup"),
    ("beanstalk", "AWS/ElasticBeanstalk"),
    ("billing", "AWS/Billing"),
    ("cassandra", "AWS/Cassandra"),
    ("cloudfront", "AWS/CloudFront"),
    ("cwagent", "CWAgent"),
    ("dms", "AWS/DMS"),
    ("docdb", "AWS/DocDB"),
    ("dx", "AWS/DX"),
    ("dynamodb", "AWS/DynamoDB"),
    ("ebs", "AWS/EBS"),
    ("ec", "AWS/ElastiCache"),
    ("ec2", "AWS/EC2"),
    ("ecs-containerinsights", "ECS/ContainerInsights"),
    ("ecs-svc", "AWS/ECS"),
    ("efs", "AWS/EFS"),
    ("elb", "AWS/ELB"),
    ("emr", "AWS/ElasticMapReduce"),
    ("es", "AWS/ES"),
    ("firehose", "AWS/Firehose"),
    ("fsx", "AWS/FSx"),
    ("kafka", "AWS/Kafka"),
    ("kinesis", "AWS/Kinesis"),
    ("kms", "AWS/KMS"),
    ("lambda", "AWS/Lambda"),
    ("logs", "AWS/Logs"),
    ("memorydb", "AWS/MemoryDB"),
    ("mq", "AWS/AmazonMQ"),
    ("neptune", "AWS/Neptune"),
    ("ngw", "AWS/NATGateway"),
    ("nlb", "AWS/NetworkELB"),
    ("rds", "AWS/RDS"),
    ("redshift", "AWS/Redshift"),
    ("s3", "AWS/S3"),
    ("sfn", "AWS/States"),
    ("sns", "AWS/SNS"),
    ("sqs", "AWS/SQS"),
    ("tgw", "AWS/TransitGateway"),
    ("vpn", "AWS/VPN"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(text: &str) -> Carried {
        carry(&yaml::read("yace.yaml", text).unwrap(), Duration::from_secs(60))
    }

    #[test]
    fn jobs_become_metrics_of_their_regions_and_accounts() {
        let carried = carried(
            "discovery:\n  exportedTagsOnMetrics: { rds: [team] }\n  jobs:\n  - type: rds\n    regions: [eu-west-1, eu-central-1]\n    \
             roles: [{ roleArn: 'arn:aws:iam::1:role/r', externalId: x }]\n    searchTags: [{ key: env, value: ^prod$ }]\n    \
             period: 60\n    statistics: [Average]\n    metrics:\n    - name: CPUUtilization\n    - { name: FreeStorageSpace, \
             statistics: [Minimum], period: 900 }\n    - name: NoSuchThing\n\
             customNamespace:\n- name: jobs\n  namespace: Batch/Jobs\n  regions: [eu-west-1]\n  dimensionNameRequirements: [Queue]\n  \
             metrics: [{ name: Depth, statistics: [Maximum], period: 300 }]\n",
        );
        let text = yaml::write(&Section {
            cloudwatch: &carried.ours,
        });
        let document: Document = yaml::read("ours", &text).unwrap();
        let ours = document.cloudwatch;
        assert_eq!(ours.check(), [""; 0], "{text}");
        let said: Vec<(&str, u64)> = ours
            .metrics
            .iter()
            .map(|metric| (metric.name.as_str(), metric.interval.as_secs()))
            .collect();
        assert_eq!(
            said,
            [
                ("aws_batch_jobs_depth_maximum", 300),
                ("aws_rds_cpuutilization_average", 300),
                ("aws_rds_cpuutilization_average", 300),
                ("aws_rds_free_storage_space_minimum", 900),
                ("aws_rds_free_storage_space_minimum", 900)
            ]
        );
        assert_eq!(ours.metrics[0].labels["region"], "eu-west-1");
        assert_eq!(ours.metrics[1].labels["account_id"], "1");
        assert_eq!(
            (ours.tags, ours.only_tags["env"].as_str()),
            (vec!["team".to_owned()], "prod")
        );
        let regions: Vec<usize> = ours
            .accounts
            .iter()
            .map(|account| account.regions.len())
            .collect();
        assert_eq!(regions, [1, 2]);
        let notes = carried.notes.join("\n");
        assert!(notes.contains("NoSuchThing (Average) is left out"), "{notes}");
    }

    #[test]
    fn a_pattern_that_is_found_anywhere_is_written_for_the_whole_value() {
        assert_eq!(whole("prod"), ".*(?:prod).*");
        assert_eq!(whole("^prod"), "(?:prod).*");
        assert_eq!(whole("^prod$"), "prod");
        let either = regex::Regex::new(&format!("^(?:{})$", whole("^a|b$"))).unwrap();
        assert!(either.is_match("ab") && either.is_match("ax") && !either.is_match("xa"));
    }
}
