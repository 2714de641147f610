//! The budget is never passed, whatever happens; and what wakes people is asked for to the last.

use std::collections::BTreeMap;
use std::time::Duration;

use fake_aws::{Fault, estate};
use model::late::Late;
use model::{Leadership, Matcher};

use super::house::{House, START, alert, config};
use super::truth::everything;
use crate::budget::{Spent, rest_of_month};
use crate::plan::Class;
use crate::plan::need::{By, Need};
use crate::{Config, Hot};

const HOUR: Duration = Duration::from_secs(3_600);
const FAST: &str = "aws_rds_cpuutilization_average";
const SLOW: &str = "aws_rds_disk_queue_depth_average";

fn needs() -> Vec<Need> {
    let pages = [
        "aws_elasticache_cache_hits_sum",
        "aws_elasticache_curr_items_average",
    ];
    let by = || By::Dashboard {
        title: "Cache".into(),
    };
    let pages = pages
        .iter()
        .map(|name| Need::new(name, &[] as &[Matcher], None, by()));
    let rules = [
        "aws_rds_write_iops_average",
        "aws_rds_swap_usage_average",
        SLOW,
        FAST,
    ];
    let rules = rules.iter().map(|name| alert(name, Duration::from_secs(600)));
    pages.chain(rules).collect()
}

/// A month whose budget is nearly gone, `left` before its end.
fn late_in_the_month(left: Duration, dollars: f64) -> House {
    let whole = rest_of_month(START);
    let house = House::with(
        |_| {},
        Config {
            max_usd_per_month: 25.0,
            ..config()
        },
    );
    house.clock.skew(model::time::millis(whole - left));
    estate::sample(&house.fake);
    let spent = Spent {
        dollars: 25.0 - dollars,
        ..Spent::default().at(house.now())
    };
    *house.purse.0.lock() = Some(spent);
    house.wants(needs());
    house
}

#[tokio::test(start_paused = true)]
async fn the_budget_is_not_passed_and_what_wakes_people_goes_on_to_the_last_day() {
    let left = HOUR * 6;
    // About half of what all of it would cost in that time.
    let mut house = late_in_the_month(left, 0.013);
    house.open();
    house.pass(left - Duration::from_secs(300)).await;
    let said = house.room.view().unwrap();
    let billed = house.fake.bill().usd();
    println!(
        "{billed:.5} of 0.01300 dollars billed; stretched {:?}",
        said.stretch
    );
    assert!(billed <= 0.013 && said.spent <= 25.0, "{billed} {}", said.spent);
    assert!(said.stretch[2] > 1.0, "{:?}", said.stretch);
    let age = house.now().since(oldest_of_newest(&house, FAST));
    assert!(age < Duration::from_secs(1_200), "{age:?}");
    // A new month, a new budget.
    house.pass(HOUR).await;
    let said = house.room.view().unwrap();
    assert!(said.spent < 1.0, "{said:?}");
    house.close().await;
}

/// All that the sample estate has, asked for every five minutes, is some 60 dollars a month.
#[tokio::test(start_paused = true)]
async fn a_month_of_everything_for_25_dollars_is_not_passed() {
    let whole = rest_of_month(START);
    let is_long = std::env::var_os("SKOPOS_TEST_LONG").is_some();
    let span = if is_long { whole } else { HOUR * 3 };
    let dollars = 25.0 * span.as_secs_f64() / whole.as_secs_f64();
    let mut house = late_in_the_month(span, dollars);
    house.wants(everything(&house));
    house.open();
    house.pass(span - Duration::from_secs(300)).await;
    let said = house.room.view().unwrap();
    let billed = house.fake.bill().usd();
    let fast = house
        .room
        .plans()
        .iter()
        .flat_map(|(_, plan)| &plan.planned)
        .filter(|planned| planned.class == Class::Fast)
        .count();
    let monthly: f64 = house.room.plans().iter().map(|(_, plan)| plan.monthly()).sum();
    let age = house.now().since(oldest_of_newest(&house, FAST));
    println!(
        "{billed:.4} of {dollars:.4} dollars billed in {} hours, of what would be {monthly:.2} a month; {fast} series wake people; \
         stretched {:?}; the newest point of {FAST} is {age:?} old",
        span.as_secs() / 3_600,
        said.stretch,
    );
    assert!(billed <= dollars && said.spent <= 25.0, "{billed} {}", said.spent);
    assert!(said.stretch[1] > 1.0, "{:?}", said.stretch);
    assert!(age < Duration::from_secs(1_200), "{age:?}");
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_near_is_looked_at_more_often_only_with_what_is_left_over() {
    let left = HOUR * 6;
    let mut house = late_in_the_month(left, 0.013);
    // All of it is near.
    let hot = Hot {
        alert: format!("On{FAST}").into(),
        labels: model::Labels::from_pairs([("severity", "critical")]),
    };
    house.hot.send_replace(std::sync::Arc::new([hot]));
    house.open();
    house.pass(left - Duration::from_secs(300)).await;
    let said = house.room.view().unwrap();
    let billed = house.fake.bill().usd();
    println!("{billed:.5} of 0.01300 dollars billed with all of it near");
    assert!(billed <= 0.013 && said.spent <= 25.0, "{billed} {}", said.spent);
    let age = house.now().since(oldest_of_newest(&house, FAST));
    assert!(age < Duration::from_secs(1_200), "{age:?}");
    house.close().await;
}

/// Of each series of a name the newest point, and of these the oldest.
fn oldest_of_newest(house: &House, name: &str) -> model::Timestamp {
    let named = house.memory.named(name);
    let newest = named
        .iter()
        .filter_map(|(_, points)| Some(*points.last_key_value()?.0));
    newest.min().unwrap()
}

#[tokio::test(start_paused = true)]
async fn without_money_nothing_is_asked_that_costs_some() {
    let mut house = late_in_the_month(HOUR * 3, 0.0);
    house.open();
    house.pass(HOUR).await;
    assert_eq!(house.fake.count("GetMetricData"), 0);
    // What is there is described all the same.
    assert!(!house.memory.named("aws_rds_vcpus").is_empty());
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_takes_over_goes_on_with_the_sum_and_buys_one_cycle_again_at_most() {
    let mut house = House::with(estate::sample, config());
    house.wants(needs());
    house.open();
    house.pass(HOUR).await;
    let spent = house.room.view().unwrap().spent;
    let cycle = house.fake.bill().usd();
    let lead = |here, epoch| Leadership {
        here,
        epoch,
        ..Leadership::standalone()
    };
    house.lead.send_replace(lead(false, 2));
    house.pass(Duration::from_secs(30)).await;
    house.fake.reset_bill();
    house.pass(Duration::from_secs(600)).await;
    assert!(house.fake.bill().usd() <= 0.0, "it goes on asking");
    // The other one has spent meanwhile, and this one leads again.
    *house.purse.0.lock() = Some(Spent {
        dollars: spent + 1.0,
        ..Spent::default().at(house.now())
    });
    house.lead.send_replace(lead(true, 3));
    house.pass(Duration::from_secs(30)).await;
    let again = house.room.view().unwrap().spent - spent - 1.0;
    let one = house
        .room
        .plans()
        .iter()
        .map(|(_, plan)| plan.planned.len())
        .sum::<usize>();
    println!(
        "{again:.5} dollars bought again after a take-over; a cycle of all {one} series is {:.5}",
        crate::budget::cost(one)
    );
    assert!(again > 0.0 && again <= crate::budget::cost(one) + 1e-9, "{again}");
    assert!(cycle > 0.0);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn while_nobody_can_say_who_leads_nothing_is_bought_and_nothing_again_when_that_is_over() {
    let mut house = House::with(estate::sample, config());
    house.fake.billing(|bill| bill.keeps_bought = true);
    house.wants(needs());
    house.open();
    house.pass(HOUR).await;
    let lead = |here, epoch| Leadership {
        here,
        epoch,
        ..Leadership::standalone()
    };
    // Within a round, over one, over many; and the Lease made anew by whoever has it, who does not stop for that.
    for (away, epoch) in [
        (20, 1),
        (200, 1),
        (400, 1),
        (7_200, 1),
        (0, 2),
        (200, 2),
        (200, 3),
        (200, 4),
    ] {
        // Half a minute after what is due in a round was bought.
        let into = (house.now().millis() - 45_000).rem_euclid(300_000);
        house.pass(Duration::from_millis(300_000 - into as u64)).await;
        let before = house.fake.bill().bought.len();
        // Made anew a moment before, where it is another epoch.
        house.lead.send_replace(lead(true, epoch));
        house.pass(Duration::from_secs(2)).await;
        if away > 0 {
            house.lead.send_replace(lead(false, epoch));
            house.pass(Duration::from_secs(away)).await;
            assert_eq!(house.fake.bill().bought.len(), before, "away for {away} s");
        }
        let (returned, newest) = (house.now(), oldest_of_newest(&house, FAST));
        // AWS is not to be had at once.
        let soon = returned + Duration::from_secs(20);
        house.fake.fails_until("GetMetricData", soon, Fault::Throttled);
        house.lead.send_replace(lead(true, epoch));
        for _ in 0..600 {
            house.pass(Duration::from_millis(100)).await;
            // Rules wait for what was missed: nobody was there to ask for it.
            let mark = house.room.marks().mark(FAST).unwrap();
            assert!(
                house.now().since(mark.complete) < mark.patience,
                "{mark:?} after {away} s"
            );
        }
        if away >= 400 {
            let known = oldest_of_newest(&house, FAST);
            assert!(known > newest && returned.since(known) < Duration::from_secs(400));
        }
    }
    let mut rounds: BTreeMap<(&str, i64), usize> = BTreeMap::new();
    let bill = house.fake.bill();
    for item in &bill.bought {
        let round = (item.at.millis() - 15_000).div_euclid(300_000);
        *rounds.entry((&item.what, round)).or_default() += 1;
    }
    let again: Vec<_> = rounds.iter().filter(|(_, times)| **times > 1).collect();
    println!("{} bought, {} of it again", bill.bought.len(), again.len());
    assert!(bill.bought.len() > 500 && again.is_empty(), "{again:?}");
    house.close().await;
}
