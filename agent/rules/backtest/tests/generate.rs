//! Random rules over three metrics, which read what others record, earlier and later, and now and then go wrong.

use fastrand::Rng;

pub(crate) const METRICS: [&str; 3] = ["a", "b", "c"];
pub(crate) const INSTANCES: [&str; 3] = ["x", "y", "z"];

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}

/// Some count datapoints, where that is asked for: no Prometheus does.
pub(crate) fn rules(rng: &mut Rng, counted: bool) -> String {
    let mut text = "groups:\n".to_owned();
    let (mut records, mut alerts) = (0, 0);
    // Some read what is recorded later, or by another group.
    let recorded = rng.usize(1..6);
    for group in 0..rng.usize(1..4) {
        text += &format!("- name: g{group}\n");
        for (key, values) in [
            ("interval", ["15s", "30s", "10s"]),
            ("query_offset", ["5s", "30s", "0s"]),
        ] {
            if rng.u8(..3) == 0 {
                text += &format!("  {key}: {}\n", pick(rng, &values));
            }
        }
        if rng.u8(..6) == 0 {
            text += "  limit: 2\n";
        }
        text += "  rules:\n";
        for _ in 0..rng.usize(1..6) {
            let read = rng.usize(..recorded);
            if rng.u8(..2) == 0 && records < recorded {
                let expr = record(rng, read);
                text += &format!("  - {{record: r{records}, expr: '{expr}'}}\n");
                records += 1;
                continue;
            }
            let expr = alert(rng, read);
            text += &format!("  - alert: A{alerts}\n    expr: '{expr}'\n");
            alerts += 1;
            let hold = match counted && rng.u8(..3) == 0 {
                true => ("datapoints", ["{m: 2, n: 5}", "{m: 3, n: 4}", "{m: 1, n: 3}"]),
                false => ("for", ["20s", "1m", "45s"]),
            };
            for (key, values) in [hold, ("keep_firing_for", ["30s", "1m", "15s"])] {
                if rng.u8(..3) > 0 {
                    text += &format!("    {key}: {}\n", pick(rng, &values));
                }
            }
            if rng.u8(..3) == 0 {
                text += "    labels: {size: '{{ if gt $value 4.0 }}high{{ else }}low{{ end }}'}\n";
            }
            if rng.u8(..12) == 0 {
                text += "    annotations: {all: '{{ with query \"count(a)\" }}{{ . | first | value }}{{ end }}'}\n";
            }
        }
    }
    // What nobody reads is not gone through, and could not fail.
    text += "- name: last\n  rules:\n  - {alert: L, expr: c == 1}\n";
    for nth in 0..records {
        text += &format!("  - {{alert: L{nth}, expr: r{nth} > 100}}\n");
    }
    text
}

fn record(rng: &mut Rng, read: usize) -> String {
    let metric = pick(rng, &METRICS);
    match rng.u8(..8) {
        0 => format!("sum by (instance) ({metric})"),
        1 => "a + on(instance) b".to_owned(),
        2 => format!("max_over_time({metric}[1m])"),
        3 => format!("r{read} + 1 < 9"),
        4 => format!("avg_over_time(r{read}[1m])"),
        5 => format!("{metric} offset 20s"),
        6 => "label_replace(a, \"instance\", \"same\", \"instance\", \"[xy]\")".to_owned(),
        _ => metric.to_owned(),
    }
}

fn alert(rng: &mut Rng, read: usize) -> String {
    let metric = pick(rng, &METRICS);
    let other = pick(rng, &METRICS);
    match rng.u8(..14) {
        0 | 1 => format!("r{read} > 2"),
        2 => format!("rate({metric}[1m]) > 0.02"),
        3 => format!("absent({metric}{{instance=\"x\"}})"),
        4 => format!("{metric} offset 30s > 2"),
        5 => "ALERTS{alertname=\"A0\",alertstate=\"firing\"}".to_owned(),
        6 => format!("{metric} > 2 unless on(instance) r{read} > 1"),
        7 => format!("max_over_time(r{read}[45s]) > 4"),
        8 => format!("{metric} offset -20s > 2"),
        9 => format!("sum(topk(2, {metric})) > 3"),
        10 => format!("changes(r{read}[2m:10s]) > 1"),
        11 => format!("{metric} > on(instance) group_left {other}"),
        12 => "count({job=\"j\"}) > 5".to_owned(),
        _ => format!("{metric} > 2"),
    }
}
