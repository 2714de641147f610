//! What the views of AWS say, whatever is known of it.

use std::path::Path;
use std::sync::Arc;

use http::StatusCode;

use super::made_up::Story;
use super::tests::{get, house, main};
use crate::Rooms;

/// The firing house, with another account.
fn with(change: impl Fn(&mut model::view::cloudwatch::Aws) + Send + Sync + 'static) -> Rooms {
    let mut rooms = house(Story::Firing);
    let estate = rooms.aws.as_mut().unwrap();
    let given = Arc::clone(&estate.watched);
    estate.watched = Arc::new(move || {
        let mut aws = given();
        change(&mut aws);
        aws
    });
    rooms
}

fn well(aws: &mut model::view::cloudwatch::Aws) {
    aws.stretch = [1.0; 3];
    aws.places[0].problems.clear();
}

/// Only what the view itself draws; `UPDATE_GOLDEN=1` rewrites the file.
#[tokio::test]
async fn the_view_of_aws_is_drawn_as_it_was() {
    let (_, body) = get(house(Story::Firing), "/aws").await;
    let found = format!("<main{}</main>\n", main(&body).replace("><", ">\n<"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/aws.html");
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for (nth, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of {}", nth + 1, path.display());
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}

#[tokio::test]
async fn the_first_line_says_the_gravest() {
    let told = |rooms: Rooms| async {
        let (_, body) = get(rooms, "/aws").await;
        let head = body.split("<h1>").nth(1).unwrap();
        head.split("</h1>").next().unwrap().to_owned()
    };
    let refused = told(house(Story::Firing)).await;
    assert_eq!(
        refused,
        "AWS does not answer: DescribeDBInstances is not allowed; grant rds:DescribeDBInstances"
    );
    let several = told(with(|aws| {
        let twice = aws.places[0].problems[0].clone();
        aws.places[0].problems.push(twice);
    }));
    assert_eq!(
        several.await,
        "AWS does not answer 2 questions: grant rds:DescribeDBInstances first"
    );
    let slow = told(with(|aws| aws.places[0].problems.clear())).await;
    assert_eq!(
        slow,
        "What other rules read is asked for 1.5 times less often: the budget is too small"
    );
    let awake = told(with(|aws| {
        well(aws);
        aws.stretch = [2.1, f64::INFINITY, f64::INFINITY];
    }));
    assert_eq!(
        awake.await,
        "What wakes people is asked for 2.1 times less often: the budget is too small"
    );
    assert_eq!(
        told(with(well)).await,
        "AWS is well: 407 series are read, none too late"
    );
    assert_eq!(
        told(house(Story::Pair)).await,
        "The other replica asks AWS; nothing is wrong here"
    );
    let away = with(|aws| {
        well(aws);
        aws.asks = model::view::cloudwatch::Asks::Nobody;
    });
    assert_eq!(
        told(away).await,
        "Nobody is known to lead: AWS is not asked until somebody is"
    );
    assert_eq!(
        told(house(Story::Empty)).await,
        "AWS has not answered yet which account this is"
    );
    assert_eq!(told(house(Story::Calm)).await, "AWS is not watched here");
}

#[tokio::test]
async fn what_is_off_says_how_to_turn_it_on_and_is_not_in_the_menu() {
    let (_, off) = get(house(Story::Calm), "/aws").await;
    assert!(off.contains("cloudwatch: {enabled: true}") && !off.contains("href=\"/aws\""));
    let (_, on) = get(house(Story::Firing), "/").await;
    assert!(on.contains("href=\"/aws\"") && on.contains("$23.10 of $40.00 this month, $39.20 expected"));
    let (_, empty) = get(house(Story::Empty), "/aws").await;
    assert!(empty.contains("No resource is known: none has been described yet"));
    assert!(empty.contains("no rule and no dashboard reads a metric of AWS"));
    assert!(empty.contains("there is no limit"));
    let (_, follower) = get(house(Story::Pair), "/aws").await;
    assert!(follower.contains("The other replica asks AWS; its page says what for."));
    assert!(follower.contains("orders") && !main(&follower).contains("expected"));
}

#[tokio::test]
async fn what_is_dearest_stands_first_and_places_are_counted_together() {
    let rooms = with(|aws| {
        let mut other = aws.places[0].clone();
        "eu-west-1".clone_into(&mut other.region);
        aws.places.push(other);
    });
    let budget = |path: &'static str| {
        let rooms = rooms.clone();
        async move {
            let (_, body) = get(rooms, path).await;
            body.split("id=\"budget\"").nth(1).unwrap().to_owned()
        }
    };
    let closed = budget("/aws").await;
    let at = |words: &str| {
        closed
            .find(words)
            .unwrap_or_else(|| panic!("no {words} in {closed}"))
    };
    let order = ["$26.62", "$1.66", "$0.84", "&lt; $0.01"].map(at);
    assert!(order.is_sorted(), "{order:?}");
    assert!(
        closed.contains(">298<") && closed.contains("MSK, 1 alert") && closed.contains("Dashboards only")
    );
    assert!(!closed.contains("href=\"/alerts/MskBrokerCpuHigh\""));
    let open = budget("/aws?of=MSK").await;
    assert!(open.contains("href=\"/alerts/MskBrokerCpuHigh\"") && !open.contains("RdsStorageLow"));
}

#[tokio::test]
async fn every_row_leads_to_its_resource_and_every_figure_to_its_graph() {
    let (_, body) = get(house(Story::Firing), "/aws").await;
    let tables = (house(Story::Firing).aws.unwrap().tables)();
    let mut links = 0;
    for part in body.split("href=\"/aws/").skip(1) {
        let address = format!("/aws/{}", part.split('"').next().unwrap()).replace("&amp;", "&");
        let (status, one) = get(house(Story::Firing), &address).await;
        assert_eq!(status, StatusCode::OK, "{address}");
        assert!(
            one.contains("No alert is true for") || one.contains("Nothing is measured of"),
            "{address}"
        );
        links += 1;
    }
    let rows: usize = tables.iter().map(|table| table.rows.len()).sum();
    assert_eq!(links, rows);
    let figures = tables
        .iter()
        .flat_map(|table| &table.rows)
        .flat_map(|row| &row.figures);
    let measured = figures.filter(|figure| figure.value.is_some()).count();
    assert_eq!(main(&body).matches("href=\"/explore?expr=").count(), measured);
    let (status, gone) = get(house(Story::Firing), "/aws/rds/gone").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(gone.contains("Nothing of AWS is called gone here"));
    let (status, _) = get(house(Story::Firing), "/aws/rds/orders?account=1").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_alert_of_a_resource_is_seen_at_its_row() {
    let mut rooms = house(Story::Firing);
    let rules = Arc::clone(&rooms.rules);
    rooms.rules = Arc::new(move || {
        let mut groups = rules();
        let rule = &mut groups[0].rules[0];
        "RdsCpuHigh".clone_into(&mut rule.name);
        rule.alerts.truncate(1);
        rule.alerts[0].labels = model::Labels::from_pairs([
            ("alertname", "RdsCpuHigh"),
            ("account_id", "123456789012"),
            ("region", "eu-central-1"),
            ("dimension_DBInstanceIdentifier", "orders"),
        ]);
        groups
    });
    let (_, body) = get(rooms.clone(), "/aws").await;
    assert!(
        body.contains("<h1>RdsCpuHigh is firing for orders</h1>"),
        "{}",
        main(&body)
    );
    let row = |name: &str| {
        let end = body.find(&format!(">{name}</a></th>")).unwrap();
        let start = body[..end].rfind("<tr").unwrap();
        body[start..end].to_owned()
    };
    assert!(row("orders").contains("shape fire") && row("stopped").contains("shape none"));
    let (_, one) = get(rooms, "/aws/rds/orders").await;
    assert!(one.contains("<h1>RdsCpuHigh is firing for orders</h1>"));
}
