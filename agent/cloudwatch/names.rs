//! What a metric of CloudWatch is called here: as YACE calls it, so that its dashboards and rules go on working.

/// `aws_rds_cpuutilization_average` for `AWS/RDS`, `CPUUtilization` and `Average`.
#[must_use]
pub fn metric(namespace: &str, metric: &str, statistic: &str) -> String {
    let namespace = namespace.trim_start_matches('/').to_ascii_lowercase();
    let namespace = words(&namespace);
    let mut name = words(metric);
    for part in namespace.split('_') {
        if let Some(rest) = name.strip_prefix(part).and_then(|rest| rest.strip_prefix('_')) {
            name = rest.to_owned();
        }
    }
    let prefix = if namespace.starts_with("aws") { "" } else { "aws_" };
    format!("{prefix}{namespace}_{name}_{}", words(statistic))
}

/// `aws_rds` for `AWS/RDS`: what all names of the namespace begin with.
#[must_use]
pub fn prefix(namespace: &str) -> String {
    let namespace = words(&namespace.trim_start_matches('/').to_ascii_lowercase());
    if namespace.starts_with("aws") {
        namespace
    } else {
        format!("aws_{namespace}")
    }
}

/// `dimension_Cluster_Name` for `Cluster Name`.
#[must_use]
pub fn dimension(name: &str) -> String {
    format!("dimension_{}", clean(name))
}

/// `tag_Owner` for the tag `Owner`.
#[must_use]
pub fn tag(key: &str) -> String {
    format!("tag_{}", clean(key))
}

/// `sample_count` for `SampleCount`: what a name ends with.
#[must_use]
pub fn statistic(statistic: &str) -> String {
    words(statistic)
}

/// An underscore stands only between a small letter or digit and a capital.
fn words(text: &str) -> String {
    let clean = clean(text);
    let mut words = String::with_capacity(clean.len() + 8);
    let mut before = None;
    for letter in clean.chars() {
        let begins = letter.is_ascii_uppercase()
            && before.is_some_and(|was: char| was.is_ascii_lowercase() || was.is_ascii_digit());
        if begins {
            words.push('_');
        }
        words.push(letter.to_ascii_lowercase());
        before = Some(letter);
    }
    words
}

fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '%' => clean.push_str("_percent"),
            letter if letter.is_ascii_alphanumeric() || letter == '_' => clean.push(letter),
            _ => clean.push('_'),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_yace() {
        for (namespace, name, statistic, expected) in [
            (
                "AWS/RDS",
                "CPUUtilization",
                "Average",
                "aws_rds_cpuutilization_average",
            ),
            ("AWS/RDS", "ReadIOPS", "Average", "aws_rds_read_iops_average"),
            (
                "AWS/RDS",
                "EBSByteBalance%",
                "Average",
                "aws_rds_ebsbyte_balance_percent_average",
            ),
            (
                "AWS/ApplicationELB",
                "HTTPCode_Target_5XX_Count",
                "Sum",
                "aws_applicationelb_httpcode_target_5_xx_count_sum",
            ),
            (
                "AWS/ElastiCache",
                "EngineCPUUtilization",
                "Average",
                "aws_elasticache_engine_cpuutilization_average",
            ),
            (
                "AWS/Kafka",
                "MaxOffsetLag",
                "Maximum",
                "aws_kafka_max_offset_lag_maximum",
            ),
            (
                "AWS/ApplicationELB",
                "TargetResponseTime",
                "p99",
                "aws_applicationelb_target_response_time_p99",
            ),
            ("AWS/RDS", "ReadLatency", "p99.9", "aws_rds_read_latency_p99_9"),
            (
                "Glue",
                "glue.driver.aggregate.bytesRead",
                "Sum",
                "aws_glue_driver_aggregate_bytes_read_sum",
            ),
        ] {
            assert_eq!(metric(namespace, name, statistic), expected);
        }
        assert_eq!(dimension("Cluster Name"), "dimension_Cluster_Name");
        assert_eq!(tag("kubernetes.io/role"), "tag_kubernetes_io_role");
        assert_eq!(prefix("AWS/NATGateway"), "aws_natgateway");
    }
}
