//! What the dashboard of load balancers shows.

use serde_json::Value;

use super::super::build::{Panel, dashboard, tables};
use super::{Bounds, Chosen, finish};

/// One number for each chosen load balancer, of all its groups together.
macro_rules! of {
    ($metric:literal) => {
        concat!(
            "max by (account_id, region, dimension_LoadBalancer) (",
            $metric,
            "{account_id=~\"$account\",region=~\"$region\",dimension_LoadBalancer=~\"$loadbalancer\",dimension_TargetGroup=\"\",dimension_AvailabilityZone=\"\"})"
        )
    };
}

/// One number for each target group of the chosen load balancers.
macro_rules! of_group {
    ($metric:literal) => {
        concat!(
            "max by (account_id, region, dimension_LoadBalancer, dimension_TargetGroup) (",
            $metric,
            "{account_id=~\"$account\",region=~\"$region\",dimension_LoadBalancer=~\"$loadbalancer\",dimension_TargetGroup!=\"\",dimension_AvailabilityZone=\"\"})"
        )
    };
}

const BOUNDS: Bounds = Bounds {
    above: &[
        ("Of the capacity", "AlbNearCapacity"),
        ("Failed by the load balancer", "AlbServerErrors"),
        ("Failed by targets", "AlbTargetErrors"),
        ("Share of answers that are errors of targets", "AlbTargetErrors"),
        ("Slowest group", "AlbSlow"),
        ("Time to answer", "AlbSlow"),
        ("Unhealthy targets", "AlbUnhealthyTargets"),
        ("Unhealthy targets by group", "AlbUnhealthyTargets"),
        ("Rejected connections", "AlbRejectedConnections"),
    ],
    below: &[],
};

const CHOSEN: Chosen = Chosen {
    variable: "loadbalancer",
    called: "Load balancer",
    label: "dimension_LoadBalancer",
    series: "aws_applicationelb_info",
};

/// Are requests answered, how fast, and by how many targets?
#[expect(clippy::too_many_lines, reason = "a list of panels, one after the other")]
pub(in crate::dashboards) fn alb() -> Value {
    let stats = [
        Panel {
            title: "Requests",
            about: "Requests a second, of all of them together.",
            unit: "reqps",
            targets: &[(
                concat!("sum(", of!("aws_applicationelb_request_count_sum"), ") / 60"),
                "requests",
            )],
        },
        Panel {
            title: "Of the capacity",
            about: "Requests by what is written of each load balancer under cloudwatch.capacities, where it is most; 0 where nothing is. Alert: AlbNearCapacity.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    "max(",
                    of!("aws_applicationelb_request_count_sum"),
                    " / 60 / ",
                    of!("aws_applicationelb_capacity_requests_per_second"),
                    ") or on () vector(0)"
                ),
                "used",
            )],
        },
        Panel {
            title: "Failed by the load balancer",
            about: "Share of the requests that got a 5xx of the load balancer itself, where it is most. Alert: AlbServerErrors.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    "max(",
                    of!("aws_applicationelb_httpcode_elb_5_xx_count_sum"),
                    " / (",
                    of!("aws_applicationelb_request_count_sum"),
                    " + ",
                    of!("aws_applicationelb_httpcode_elb_5_xx_count_sum"),
                    " > 0)) or on () vector(0)"
                ),
                "failed",
            )],
        },
        Panel {
            title: "Failed by targets",
            about: "Share of the requests that a target answered with 5xx, of the group where it is most. Alert: AlbTargetErrors.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    "max(",
                    of_group!("aws_applicationelb_httpcode_target_5_xx_count_sum"),
                    " / (",
                    of_group!("aws_applicationelb_request_count_sum"),
                    " > 0)) or on () vector(0)"
                ),
                "failed",
            )],
        },
        Panel {
            title: "Slowest group",
            about: "Nineteen of twenty answers are faster. Alert: AlbSlow.",
            unit: "s",
            targets: &[(
                concat!(
                    "max(",
                    of_group!("aws_applicationelb_target_response_time_p95"),
                    ") or on () vector(0)"
                ),
                "answers",
            )],
        },
        Panel {
            title: "Unhealthy targets",
            about: "Targets that fail their health check. Alerts: AlbUnhealthyTargets, AlbNoHealthyTarget.",
            unit: "short",
            targets: &[(
                concat!(
                    "sum(",
                    of_group!("aws_applicationelb_un_healthy_host_count_maximum"),
                    ")"
                ),
                "targets",
            )],
        },
        Panel {
            title: "Rejected connections",
            about: "Connections of the last hour for which a load balancer had no room. Alert: AlbRejectedConnections.",
            unit: "short",
            targets: &[(
                "sum(sum_over_time(aws_applicationelb_rejected_connection_count_sum{account_id=~\"$account\",region=~\"$region\",dimension_LoadBalancer=~\"$loadbalancer\",dimension_TargetGroup=\"\",dimension_AvailabilityZone=\"\"}[1h])) or on () vector(0)",
                "connections",
            )],
        },
        Panel {
            title: "Capacity units",
            about: "Load balancer capacity units, which is what they cost by: about $0.008 for each and hour.",
            unit: "short",
            targets: &[(
                concat!("sum(", of!("aws_applicationelb_consumed_lcus_average"), ")"),
                "units",
            )],
        },
    ];
    let graphs = [
        Panel {
            title: "Requests by load balancer",
            about: "Requests a second. Alerts: AlbNearCapacity, AlbTrafficDrop.",
            unit: "reqps",
            targets: &[(
                concat!(of!("aws_applicationelb_request_count_sum"), " / 60"),
                "{{dimension_LoadBalancer}}",
            )],
        },
        Panel {
            title: "Requests by group",
            about: "Requests a second that targets of each group get.",
            unit: "reqps",
            targets: &[(
                concat!(of_group!("aws_applicationelb_request_count_sum"), " / 60"),
                "{{dimension_TargetGroup}}",
            )],
        },
        Panel {
            title: "Share of answers that are errors of targets",
            about: "By group. Alert: AlbTargetErrors.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    of_group!("aws_applicationelb_httpcode_target_5_xx_count_sum"),
                    " / (",
                    of_group!("aws_applicationelb_request_count_sum"),
                    " > 0)"
                ),
                "{{dimension_TargetGroup}}",
            )],
        },
        Panel {
            title: "Errors of the load balancer",
            about: "A minute: 502 a target cut the connection, 503 there was none, 504 it took too long. Alert: AlbServerErrors.",
            unit: "short",
            targets: &[
                (
                    of!("aws_applicationelb_httpcode_elb_502_count_sum"),
                    "{{dimension_LoadBalancer}} 502",
                ),
                (
                    of!("aws_applicationelb_httpcode_elb_503_count_sum"),
                    "{{dimension_LoadBalancer}} 503",
                ),
                (
                    of!("aws_applicationelb_httpcode_elb_504_count_sum"),
                    "{{dimension_LoadBalancer}} 504",
                ),
            ],
        },
        Panel {
            title: "Time to answer",
            about: "Half, nineteen of twenty, and 99 of a hundred answers of each group are faster. Alert: AlbSlow.",
            unit: "s",
            targets: &[
                (
                    of_group!("aws_applicationelb_target_response_time_p50"),
                    "{{dimension_TargetGroup}} half",
                ),
                (
                    of_group!("aws_applicationelb_target_response_time_p95"),
                    "{{dimension_TargetGroup}} 19 of 20",
                ),
                (
                    of_group!("aws_applicationelb_target_response_time_p99"),
                    "{{dimension_TargetGroup}} 99 of 100",
                ),
            ],
        },
        Panel {
            title: "Answers 4xx",
            about: "A minute, of targets and of the load balancer itself: clients ask for what is not there, or may not.",
            unit: "short",
            targets: &[
                (
                    of_group!("aws_applicationelb_httpcode_target_4_xx_count_sum"),
                    "{{dimension_TargetGroup}}",
                ),
                (
                    of!("aws_applicationelb_httpcode_elb_4_xx_count_sum"),
                    "{{dimension_LoadBalancer}}",
                ),
            ],
        },
        Panel {
            title: "Healthy targets",
            about: "The least of each minute, by group. Alert: AlbNoHealthyTarget.",
            unit: "short",
            targets: &[(
                of_group!("aws_applicationelb_healthy_host_count_minimum"),
                "{{dimension_TargetGroup}}",
            )],
        },
        Panel {
            title: "Unhealthy targets by group",
            about: "The most of each minute. Alert: AlbUnhealthyTargets.",
            unit: "short",
            targets: &[(
                of_group!("aws_applicationelb_un_healthy_host_count_maximum"),
                "{{dimension_TargetGroup}}",
            )],
        },
        Panel {
            title: "Connections",
            about: "Open and new ones, a minute.",
            unit: "short",
            targets: &[
                (
                    of!("aws_applicationelb_active_connection_count_sum"),
                    "{{dimension_LoadBalancer}} open",
                ),
                (
                    of!("aws_applicationelb_new_connection_count_sum"),
                    "{{dimension_LoadBalancer}} new",
                ),
            ],
        },
        Panel {
            title: "Connections that failed",
            about: "A minute: to targets, TLS with targets, TLS with clients. Alerts: AlbTargetConnectionErrors, AlbTargetTlsErrors.",
            unit: "short",
            targets: &[
                (
                    of_group!("aws_applicationelb_target_connection_error_count_sum"),
                    "{{dimension_TargetGroup}} to targets",
                ),
                (
                    of_group!("aws_applicationelb_target_tlsnegotiation_error_count_sum"),
                    "{{dimension_TargetGroup}} TLS of targets",
                ),
                (
                    of!("aws_applicationelb_client_tlsnegotiation_error_count_sum"),
                    "{{dimension_LoadBalancer}} TLS of clients",
                ),
            ],
        },
        Panel {
            title: "Bytes",
            about: "Bytes a second in both directions.",
            unit: "binBps",
            targets: &[(
                concat!(of!("aws_applicationelb_processed_bytes_sum"), " / 60"),
                "{{dimension_LoadBalancer}}",
            )],
        },
        Panel {
            title: "Capacity units by load balancer",
            about: "Load balancer capacity units, which is what they cost by.",
            unit: "short",
            targets: &[(
                of!("aws_applicationelb_consumed_lcus_average"),
                "{{dimension_LoadBalancer}}",
            )],
        },
    ];
    let below = [Panel {
        title: "Target groups",
        about: "Of each load balancer, with its healthy and unhealthy targets.",
        unit: "short",
        targets: &[
            (
                of_group!("aws_applicationelb_healthy_host_count_minimum"),
                "healthy",
            ),
            (
                of_group!("aws_applicationelb_un_healthy_host_count_maximum"),
                "unhealthy",
            ),
        ],
    }];
    let mut all = dashboard("skopos-alb", "Skopos / Load balancers", &stats, &graphs);
    tables(&mut all, &below);
    finish(&mut all, &CHOSEN, &BOUNDS);
    all
}
