//! What the made-up laptop measures.

use model::{Labels, MatchOp, Matcher, Select, SelectError, Series, TimeRange, Timestamp};

use super::House;

/// A value over the seconds since the start.
type Course = Box<dyn Fn(f64) -> f64>;

/// Series of a laptop, each a function of the time since it was started.
impl House {
    fn series(&self) -> Vec<(Labels, Course)> {
        let mut series: Vec<(Labels, Course)> = Vec::new();
        let mut add = |name: &str, pairs: &[(&str, &str)], value: Course| {
            let all = [("__name__", name), ("instance", "laptop"), ("job", "node")];
            series.push((
                Labels::from_pairs(all.into_iter().chain(pairs.iter().copied())),
                value,
            ));
        };
        let begin = self.started.seconds();
        let gibibyte = 1_073_741_824.0;
        add("up", &[], Box::new(|_| 1.0));
        add("node_time_seconds", &[], Box::new(move |t| begin + t));
        // Busy at first, then about a tenth; the integral of that.
        for core in ["0", "1"] {
            add(
                "node_cpu_seconds_total",
                &[("cpu", core), ("mode", "idle")],
                Box::new(|t: f64| 0.9 * t - 2.4 * (1.0 - (-t / 9.0).exp()) + 0.25 * (t / 11.0).sin()),
            );
        }
        add(
            "node_memory_MemTotal_bytes",
            &[],
            Box::new(move |_| 31.3 * gibibyte),
        );
        add(
            "node_memory_MemAvailable_bytes",
            &[],
            Box::new(move |t: f64| (21.9 + 0.08 * (t / 70.0).sin()) * gibibyte),
        );
        let mebibyte = 1_048_576.0;
        add(
            "node_disk_written_bytes_total",
            &[("device", "nvme0n1")],
            Box::new(move |t: f64| {
                mebibyte * (1.9 * t + 30.0 * (1.0 - (-t / 8.0).exp()) + 18.0 * (t / 23.0).sin())
            }),
        );
        add(
            "node_disk_read_bytes_total",
            &[("device", "nvme0n1")],
            Box::new(move |t: f64| mebibyte * (0.3 * t + 4.0 * (t / 19.0).sin())),
        );
        add(
            "node_network_receive_bytes_total",
            &[("device", "wlp0s20f3")],
            Box::new(|t: f64| 400e3 * t + 3e6 * (t / 17.0).sin()),
        );
        add(
            "node_network_transmit_bytes_total",
            &[("device", "wlp0s20f3")],
            Box::new(|t: f64| 60e3 * t + 4e5 * (t / 13.0).sin()),
        );
        for (place, device, size, free, loss) in [
            ("/home", "/dev/nvme0n1p2", 104.0, 19.8, 12.2),
            ("/var", "/dev/nvme0n1p3", 25.0, 4.1, 1.8),
            ("/", "/dev/nvme0n1p1", 48.0, 20.0, 0.1),
        ] {
            let at = [("mountpoint", place), ("device", device), ("fstype", "ext4")];
            add(
                "node_filesystem_size_bytes",
                &at,
                Box::new(move |_| size * gibibyte),
            );
            let fills = self.firing();
            add(
                "node_filesystem_avail_bytes",
                &at,
                Box::new(move |t: f64| {
                    let lost = if fills {
                        loss * (1.0 - (-t / 900.0).exp())
                    } else {
                        0.0
                    };
                    (free - lost) * gibibyte
                }),
            );
        }
        if self.paired() {
            let app = [
                ("namespace", "payments"),
                ("pod", "payments-api-7c9d8f6b54-x2k40"),
                ("container", "app"),
            ];
            // It runs for 200 s and is killed, waits for 100 s, and begins again.
            let runs = |t: f64| t % 300.0 < 200.0;
            let filling = move |t: f64| if runs(t) { 300.0 + t % 300.0 } else { 0.0 };
            add(
                "container_memory_working_set_bytes",
                &app,
                Box::new(move |t| filling(t) * mebibyte),
            );
            add(
                "container_cpu_usage_seconds_total",
                &app,
                Box::new(|t| 0.4 * t + 9.0 * (t / 60.0).sin()),
            );
            for (family, wanted) in [
                ("kube_pod_container_status_running", true),
                ("kube_pod_container_status_waiting", false),
            ] {
                add(
                    family,
                    &app,
                    Box::new(move |t| f64::from(u8::from(runs(t) == wanted))),
                );
            }
            for (resource, request) in [("memory", 384.0 * mebibyte), ("cpu", 0.5)] {
                let of = [app[0], app[1], app[2], ("resource", resource)];
                add(
                    "kube_pod_container_resource_requests",
                    &of,
                    Box::new(move |_| request),
                );
            }
        }
        series
    }

    /// `ALERTS` as the rules would have kept it: one time that is over, and what fires now.
    fn alerts(&self) -> Vec<(Labels, Vec<(Timestamp, Timestamp)>)> {
        if !self.firing() {
            return Vec::new();
        }
        let of = |place: &str, device: &str, times: &[(u64, u64)]| {
            let labels = Labels::from_pairs([
                ("__name__", "ALERTS"),
                ("alertname", "FilesystemAlmostFull"),
                ("alertstate", "firing"),
                ("mountpoint", place),
                ("device", device),
                ("severity", "warning"),
            ]);
            let ago = |seconds| self.now() - std::time::Duration::from_secs(seconds);
            (
                labels,
                times.iter().map(|(from, to)| (ago(*from), ago(*to))).collect(),
            )
        };
        vec![
            of("/home", "/dev/nvme0n1p2", &[(3600, 3000), (490, 0)]),
            of("/var", "/dev/nvme0n1p3", &[(100, 0)]),
        ]
    }

    fn matching(&self, matchers: &[Matcher], range: TimeRange) -> Vec<Series> {
        if self.empty() {
            return Vec::new();
        }
        let until = range.until.min(self.now());
        let times: Vec<Timestamp> = self
            .readings(until)
            .into_iter()
            .filter(|at| range.contains(*at))
            .collect();
        let mut found: Vec<Series> = self
            .series()
            .into_iter()
            .filter(|(labels, _)| {
                matchers
                    .iter()
                    .all(|matcher| matches(matcher, labels.value(&matcher.name)))
            })
            .map(|(labels, value)| Series {
                labels,
                values: times
                    .iter()
                    .map(|at| value(at.since(self.started).as_secs_f64()))
                    .collect(),
                times: times.clone().into(),
                staleness: None,
            })
            .filter(|series| !series.times.is_empty())
            .collect();
        for (labels, fires) in self.alerts() {
            let fits = |matcher: &Matcher| matches(matcher, labels.value(&matcher.name));
            let times: Vec<Timestamp> = times
                .iter()
                .copied()
                .filter(|at| fires.iter().any(|(from, to)| at >= from && at <= to))
                .collect();
            if matchers.iter().all(fits) && !times.is_empty() {
                found.push(Series {
                    labels,
                    values: times.iter().map(|_| 1.0).collect(),
                    times: times.into(),
                    staleness: None,
                });
            }
        }
        found.sort_by(|left, right| left.labels.cmp(&right.labels));
        found
    }
}

pub(super) fn matches(matcher: &Matcher, value: &str) -> bool {
    let regex =
        || regex::Regex::new(&format!("^(?:{})$", matcher.value)).is_ok_and(|regex| regex.is_match(value));
    match matcher.op {
        MatchOp::Equal => value == &*matcher.value,
        MatchOp::NotEqual => value != &*matcher.value,
        MatchOp::Matches => regex(),
        MatchOp::NotMatches => !regex(),
    }
}

impl Select for House {
    fn select(&self, matchers: &[Matcher], range: TimeRange, _: usize) -> Result<Vec<Series>, SelectError> {
        Ok(self.matching(matchers, range))
    }
    fn labels(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Labels>, SelectError> {
        Ok(self
            .matching(matchers, range)
            .into_iter()
            .map(|series| series.labels)
            .collect())
    }
    fn metadata(&self) -> Vec<model::Metadata> {
        Vec::new()
    }
    fn last(&self, _: Option<&str>) -> Vec<model::select::Last> {
        Vec::new()
    }
}
