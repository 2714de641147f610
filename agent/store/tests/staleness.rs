//! What ends, when, and what does not.

use model::{Keep, Round, STALE, Select, Timestamp};

use crate::harness::{House, map};

#[test]
fn a_whole_round_ends_what_it_no_longer_has() {
    let house = House::new();
    let node = house.target("node");
    assert_eq!(house.whole(node, 10, &[("a", 1.0), ("b", 1.0)]).added, 2);
    let kept = house.whole(node, 20, &[("a", 2.0)]);
    assert_eq!((kept.kept, kept.added, kept.ended), (1, 0, 1));
    assert_eq!(house.whole(node, 30, &[("a", 3.0)]).ended, 0);
    let kept = house.whole(node, 40, &[("a", 4.0), ("b", 4.0)]);
    assert_eq!((kept.added, kept.ended), (1, 0), "it begins again");
    assert_eq!(
        house.all(),
        map(&[("a", "10:1 20:2 30:3 40:4"), ("b", "10:1 20:- 40:4")])
    );
}

#[test]
fn an_empty_whole_round_ends_everything() {
    let house = House::new();
    let node = house.target("node");
    house.whole(node, 10, &[("a", 1.0), ("b", 1.0)]);
    assert_eq!(house.whole(node, 20, &[]).ended, 2);
    assert_eq!(house.all(), map(&[("a", "10:1 20:-"), ("b", "10:1 20:-")]));
}

#[test]
fn a_part_ends_nothing_and_is_not_ended_by_a_round_that_never_had_it() {
    let house = House::new();
    let node = house.target("node");
    house.whole(node, 10, &[("a", 1.0), ("b", 1.0)]);
    house.part(node, 12, &[("late", 7.0)]);
    assert_eq!(house.whole(node, 20, &[("a", 2.0), ("b", 2.0)]).ended, 0);
    assert_eq!(
        house.all(),
        map(&[("a", "10:1 20:2"), ("b", "10:1 20:2"), ("late", "12:7")])
    );
}

#[test]
fn a_series_that_turns_to_its_own_times_gets_one_marker_between() {
    let house = House::new();
    let node = house.target("node");
    house.whole(node, 10, &[("a", 1.0), ("b", 1.0)]);
    house.whole(node, 20, &[("b", 2.0)]);
    house.part(node, 21, &[("a", 3.0)]);
    house.whole(node, 30, &[("b", 3.0)]);
    house.part(node, 31, &[("a", 4.0)]);
    assert_eq!(
        house.all(),
        map(&[("a", "10:1 20:- 21:3 31:4"), ("b", "10:1 20:2 30:3")])
    );
}

#[test]
fn a_retired_target_ends_altogether_also_what_came_in_parts() {
    let house = House::new();
    let (node, other) = (house.target("node"), house.target("other"));
    house.whole(node, 10, &[("a", 1.0)]);
    house.part(node, 15, &[("b", 1.0)]);
    house.whole(other, 10, &[("c", 1.0)]);
    house.store.retire(node, Timestamp(20));
    house.store.retire(node, Timestamp(25));
    assert_eq!(
        house.all(),
        map(&[("a", "10:1 20:-"), ("b", "15:1 20:-"), ("c", "10:1")])
    );
    assert_eq!(house.metric("skopos_store_ended_series_total", None), 2.0);
}

#[test]
fn a_target_retired_at_the_time_of_its_last_round_ends_just_after_it() {
    let house = House::new();
    let node = house.target("node");
    house.whole(node, 10, &[("a", 1.0)]);
    house.store.retire(node, Timestamp(10));
    assert_eq!(house.all(), map(&[("a", "10:1 11:-")]));
}

#[test]
fn a_retired_target_takes_nothing_until_it_is_asked_for_again() {
    let house = House::new();
    let node = house.target("node");
    let series = house.series(node, "a");
    house.whole(node, 10, &[("a", 1.0)]);
    house.store.retire(node, Timestamp(20));
    let late = model::Column {
        target: node,
        time: Timestamp(30),
        round: Round::Whole,
        series: vec![series],
        values: vec![1.0],
    };
    assert_eq!(house.store.commit(late).unknown, 1);
    assert!(house.store.series(node, &crate::harness::desc("b")).is_err());
    assert_eq!(house.target("node"), node);
    assert_eq!(house.whole(node, 40, &[("a", 4.0)]).added, 1);
    assert_eq!(house.all(), map(&[("a", "10:1 20:- 40:4")]));
}

#[test]
fn a_stale_marker_from_a_source_keeps_its_bits_and_ends_the_series() {
    let house = House::new();
    let node = house.target("node");
    house.part(node, 10, &[("a", 1.0)]);
    house.part(node, 20, &[("a", STALE)]);
    assert_eq!(house.part(node, 30, &[("a", 3.0)]).added, 1);
    assert_eq!(house.all(), map(&[("a", "10:1 20:- 30:3")]));
}

#[test]
fn the_last_round_is_shown_as_committed_by_page_and_only_of_targets_that_live() {
    let house = House::new();
    let paged = |name: &str, page| {
        house.store.target(&model::TargetDesc {
            page,
            ..crate::harness::target(name)
        })
    };
    let (node, shop) = (paged("node", Some("node")), paged("shop", None));
    house.whole(node, 10, &[("b", 1.0), ("a", 2.0)]);
    house.whole(node, 20, &[("b", 3.0), ("a", 4.0)]);
    house.part(node, 25, &[("c", 4.0)]);
    house.whole(shop, 20, &[("x", 5.0)]);
    let shown = |page| {
        let one = |last: model::select::Last| {
            let series = last
                .series
                .iter()
                .map(|(labels, _, value)| format!("{labels}={value}"));
            format!(
                "{} {}: {}",
                last.target,
                last.time.0,
                series.collect::<Vec<_>>().join(" ")
            )
        };
        house.store.last(page).into_iter().map(one).collect::<Vec<_>>()
    };
    let (of_node, of_shop) = ("node 20: b=3 a=4".to_owned(), "shop 20: x=5".to_owned());
    assert_eq!(shown(Some("node")), std::slice::from_ref(&of_node));
    assert_eq!(shown(None), [of_node, of_shop.clone()]);
    house.store.retire(node, Timestamp(30));
    assert_eq!(shown(None), [of_shop]);
}
