//! The views of AWS over a running process that watches an estate: what is measured, what it costs, what is refused.

use std::time::Duration;

use fake_aws::{FakeAws, Fault, REGION, estate};
use model::Timestamp;
use telemetry::clock::RuntimeClock;

use crate::harness::Skopos;
use crate::harness::browser::Browser;

const CONFIG: &str = "node: { enabled: false }\nlogs: { enabled: false }\n\
     cloudwatch: { enabled: true, max_usd_per_month: 40 }\n";

/// A process that finds the fake as it would find AWS: by its environment.
pub fn start(fake: &FakeAws, folder: &std::path::Path, config: &str) -> Skopos {
    let user = fake.user();
    let url = fake.url();
    Skopos::start_in(
        folder,
        config,
        &[
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_REGION", REGION),
            ("AWS_ENDPOINT_URL", &url),
            ("AWS_ACCESS_KEY_ID", &user.access_key),
            ("AWS_SECRET_ACCESS_KEY", &user.secret_key),
            ("SKOPOS_LOG", "debug"),
        ],
    )
}

/// Each view, and what has to stand on it.
const VIEWS: &[(&str, &[&str])] = &[
    (
        "/aws",
        &[
            "users-db",
            "users-db-replica-1",
            "users-cache-001",
            "users-events 1",
            "db.t4g.large",
            "of $40.00 this month",
            "What it buys",
            "grant ec2:DescribeNatGateways",
            "href=\"/aws?of=MSK#budget\"",
            "class=\"tick\"",
        ],
    ),
    ("/aws?of=MSK", &["MskCpuHigh", "href=\"/alerts/"]),
    (
        "/aws/rds/users-db",
        &["Database, db.t4g.large, postgres", "Storage left", "data-graph"],
    ),
    ("/targets", &["AWS, ", "grant ec2:DescribeNatGateways"]),
    ("/", &["href=\"/aws\"", "of $40.00 this month"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_views_of_aws_say_what_is_measured_what_it_costs_and_what_is_refused() {
    let fake = FakeAws::start(RuntimeClock::system());
    let _users = estate::users(&fake);
    fake.fails_until("ec2:DescribeNatGateways", Timestamp::MAX, Fault::Denied);
    let folder = tempfile::tempdir().unwrap();
    let skopos = start(&fake, folder.path(), CONFIG);
    skopos
        .wait_for(
            "databases and brokers are measured",
            Duration::from_secs(120),
            async |skopos| {
                let databases = skopos.value("count(aws_rds_cpuutilization_average)").await;
                let brokers = skopos.value("count(aws_kafka_cpu_user_average)").await;
                let balancers = skopos.value("count(aws_applicationelb_request_count_sum)").await;
                databases.is_some_and(|count| count >= 3.0) && brokers.is_some() && balancers.is_some()
            },
        )
        .await;
    // What was found a moment ago is good enough for a while.
    skopos
        .wait_for("the page has seen it", Duration::from_secs(60), async |skopos| {
            let page = html(skopos, "/aws").await;
            page.contains("grant ec2:DescribeNatGateways")
                && measured(&page, "users-db").first().is_some_and(Option::is_some)
        })
        .await;
    for (view, wanted) in VIEWS {
        let page = html(&skopos, view).await;
        for words in *wanted {
            assert!(page.contains(words), "{view} does not say {words:?}:\n{page}");
        }
    }
    let page = html(&skopos, "/aws").await;
    for (name, columns) in [("users-db", 6), ("users-cache-001", 5), ("users-events 1", 6)] {
        let mut figures = measured(&page, name);
        assert_eq!(figures.len(), columns, "{name}");
        if columns == 6 {
            // Whether a disk is filling depends on the hour.
            figures.pop();
        }
        let missing = figures.iter().filter(|figure| figure.is_none()).count();
        // Nobody has said what a broker can take, and a cache that throws nothing away says nothing of it.
        let may_miss = usize::from(!name.starts_with("users-db"));
        assert_eq!(missing, may_miss, "{name}: {figures:?}\n{page}");
    }
    // A number leads to the graph of itself.
    let address = measured(&page, "users-db").remove(0).unwrap();
    let graph = html(&skopos, &address.replace("&amp;", "&")).await;
    assert!(graph.contains("1 series answers"), "{address}: {graph}");
    let log = skopos.log();
    assert!(!log.contains("a column of the page's tables is empty"), "{log}");
    look(&skopos).await;
    assert_eq!(skopos.stop().await, 0);
}

/// A view with its markup.
async fn html(skopos: &Skopos, path: &str) -> String {
    let (status, html) = skopos.get(path).await;
    assert_eq!(status, 200, "{path}: {html}");
    html
}

/// Where the figures of a row lead; none where nothing is measured.
fn measured(page: &str, name: &str) -> Vec<Option<String>> {
    let Some((_, rest)) = page.split_once(&format!(">{name}</a></th>")) else {
        return Vec::new();
    };
    let row = rest.split("</tr>").next().unwrap_or_default();
    row.split("<td class=\"n\"")
        .skip(1)
        .map(|cell| {
            let (_, address) = cell.split_once("href=\"")?;
            address.split('"').next().map(str::to_owned)
        })
        .collect()
}

async fn look(skopos: &Skopos) {
    let Some(browser) = Browser::start("light").await else {
        return;
    };
    let views: Vec<&str> = VIEWS.iter().map(|(view, _)| *view).collect();
    browser.survey(skopos, "estate", &views, async |_| {}).await;
}
