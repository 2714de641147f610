//! Access logs: the common and combined formats, what nginx and its ingress controller add, and those of an Application
//! Load Balancer.
//!
//! The message stays the whole line. Fields are named as Fluent Bit's own parsers name them, those of a load balancer as
//! its manual does: <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html>.

use model::{Level, Timestamp};

use super::Fields;
use crate::time;

/// Behind the agent, from the ingress controller of nginx; brackets around the names of upstreams are taken off.
const INGRESS: [&[u8]; 9] = [
    b"request_length",
    b"request_time",
    b"proxy_upstream_name",
    b"proxy_alternative_upstream_name",
    b"upstream_addr",
    b"upstream_response_length",
    b"upstream_response_time",
    b"upstream_status",
    b"reg_id",
];

/// Of a load balancer, in their order; newer ones come behind.
const ALB: [&[u8]; 30] = [
    b"type",
    b"time",
    b"elb",
    b"client_port",
    b"target_port",
    b"request_processing_time",
    b"target_processing_time",
    b"response_processing_time",
    b"elb_status_code",
    b"target_status_code",
    b"received_bytes",
    b"sent_bytes",
    b"request",
    b"user_agent",
    b"ssl_cipher",
    b"ssl_protocol",
    b"target_group_arn",
    b"trace_id",
    b"domain_name",
    b"chosen_cert_arn",
    b"matched_rule_priority",
    b"request_creation_time",
    b"actions_executed",
    b"redirect_url",
    b"error_reason",
    b"target_port_list",
    b"target_status_code_list",
    b"classification",
    b"classification_reason",
    b"conn_trace_id",
];

/// All that every version of the format has.
const ALB_LEAST: usize = 12;

/// Quick, for lines of which nobody has said what they are.
pub(super) fn looks_like_it(text: &[u8]) -> bool {
    if !text.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let head = text.get(..64).unwrap_or(text);
    memchr::memchr(b' ', head).is_some_and(|at| head.get(at..at + 3) == Some(b" - "))
        && memchr::memchr(b'[', text.get(..160).unwrap_or(text)).is_some()
}

pub(super) fn read(text: &[u8]) -> Option<Fields<'_>> {
    let (remote, rest) = word(text)?;
    // Who the client says he is, by RFC 1413: nobody has asked for decades.
    let (_, rest) = word(rest)?;
    let (user, rest) = word(rest)?;
    let (when, rest) = between(rest, b'[', b']')?;
    time::access(when)?;
    let (request, rest) = between(rest, b'"', b'"')?;
    let (code, rest) = word(rest)?;
    if code.len() != 3 || !code.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (size, rest) = word(rest)?;
    let mut fields = Fields::new(text);
    fields.add(&b"remote"[..], remote);
    add_said(&mut fields, b"user", user);
    fields.add(&b"time"[..], when);
    add_request(&mut fields, request);
    fields.add_number(b"code", code);
    add_number_said(&mut fields, b"size", size);
    let Some((referer, rest)) = between(rest, b'"', b'"') else {
        return Some(fields);
    };
    add_said(&mut fields, b"referer", referer);
    let Some((agent, rest)) = between(rest, b'"', b'"') else {
        return Some(fields);
    };
    add_said(&mut fields, b"agent", agent);
    if let Some((forwarded, _)) = between(rest, b'"', b'"') {
        add_said(&mut fields, b"forwarded_for", forwarded);
        return Some(fields);
    }
    let mut rest = rest;
    for name in INGRESS {
        let Some((value, behind)) = between(rest, b'[', b']').or_else(|| word(rest)) else {
            break;
        };
        add_number_said(&mut fields, name, value);
        rest = behind;
    }
    Some(fields)
}

pub(super) fn read_alb(text: &[u8]) -> Option<Fields<'_>> {
    let mut fields = Fields::new(text);
    let mut rest = text;
    let mut count = 0;
    for name in ALB {
        let Some((value, behind)) = between(rest, b'"', b'"').or_else(|| word(rest)) else {
            break;
        };
        add_number_said(&mut fields, name, value);
        (rest, count) = (behind, count + 1);
    }
    let is_timed = fields
        .get(b"time")
        .is_some_and(|time| time::rfc3339(time).is_some());
    (count >= ALB_LEAST && is_timed).then_some(fields)
}

/// A request that the server could not answer is an error; one that the client should not have made is his.
pub(super) fn level(text: &[u8], name: &[u8]) -> Option<Level> {
    level_of(&read(text)?, name)
}

pub(super) fn level_of(fields: &Fields<'_>, name: &[u8]) -> Option<Level> {
    let is_fault = fields.get(name)?.first() == Some(&b'5');
    Some(if is_fault { Level::Error } else { Level::Info })
}

pub(super) fn time(text: &[u8]) -> Option<Timestamp> {
    let start = memchr::memchr(b'[', text.get(..256).unwrap_or(text))?;
    time::access(text.get(start + 1..)?)
}

/// `GET /path HTTP/1.1`.
fn add_request<'t>(fields: &mut Fields<'t>, request: &'t [u8]) {
    let mut parts = request.splitn(3, |byte| *byte == b' ');
    let (Some(method), Some(path)) = (parts.next(), parts.next()) else {
        return add_said(fields, b"request", request);
    };
    fields.add(&b"method"[..], method);
    fields.add(&b"path"[..], path);
}

/// `-` says nothing.
fn add_said<'t>(fields: &mut Fields<'t>, name: &'static [u8], value: &'t [u8]) {
    if !matches!(value, b"" | b"-") {
        fields.add(name, value);
    }
}

fn add_number_said<'t>(fields: &mut Fields<'t>, name: &'static [u8], value: &'t [u8]) {
    if !matches!(value, b"" | b"-") {
        fields.add_number(name, value);
    }
}

/// Up to the next space, and what stands behind that.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (!word.is_empty()).then(|| (word, rest.strip_prefix(b" ").unwrap_or(rest)))
}

/// What stands between two signs, and behind them and a space. A backslash in front of the second one hides it.
fn between(text: &[u8], open: u8, close: u8) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(&[open])?;
    let ends = memchr::memchr_iter(close, text);
    let mut seen = ends.filter(|end| {
        let slashes = text.get(..*end).unwrap_or_default().iter().rev();
        slashes.take_while(|byte| **byte == b'\\').count() % 2 == 0
    });
    let end = seen.next()?;
    let rest = text.get(end + 1..)?;
    Some((text.get(..end)?, rest.strip_prefix(b" ").unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    const COMBINED: &str =
        r#"10.0.0.1 - anna [27/Nov/2026:12:00:00 +0100] "GET /a?b=1 HTTP/1.1" 503 612 "-" "curl/8 \"x\"""#;

    #[test]
    fn common_combined_and_ingress_lines_give_their_fields() {
        let read = |line: &str| shown(read(line.as_bytes())).map(|(_, fields)| fields);
        let common = "remote=10.0.0.1|user=anna|time=27/Nov/2026:12:00:00 +0100|method=GET|path=/a?b=1|code=number:503|size=number:612";
        assert_eq!(read(COMBINED).unwrap(), format!(r#"{common}|agent=curl/8 \"x\""#));
        let (front, _) = COMBINED.split_once(" \"-\"").unwrap();
        assert_eq!(read(front).unwrap(), common);
        let ingress = format!("{COMBINED} 99 0.001 [shop-api-80] [] 10.0.0.9:80 5 0.001 503 abc");
        assert!(read(&ingress).unwrap().ends_with(
            "request_length=number:99|request_time=number:0.001|proxy_upstream_name=shop-api-80|upstream_addr=10.0.0.9:80|upstream_response_length=number:5|upstream_response_time=number:0.001|upstream_status=number:503|reg_id=abc"
        ));
        assert!(
            read(&format!("{COMBINED} \"1.2.3.4\""))
                .unwrap()
                .ends_with("forwarded_for=1.2.3.4")
        );
        assert_eq!(read("10.0.0.1 - - [x] \"GET / HTTP/1.1\" 200 1"), None);
        assert_eq!(read("10.0.0.1 - - [27/Nov/2026:12:00:00 +0100] \"GET"), None);
    }

    #[test]
    fn the_time_and_the_fault_of_a_request_are_known() {
        let want: jiff::Timestamp = "2026-11-27T11:00:00Z".parse().unwrap();
        assert_eq!(time(COMBINED.as_bytes()), Some(Timestamp(want.as_millisecond())));
        assert_eq!(level(COMBINED.as_bytes(), b"code"), Some(Level::Error));
        let fine = COMBINED.replace("503", "404");
        assert_eq!(level(fine.as_bytes(), b"code"), Some(Level::Info));
        assert!(looks_like_it(COMBINED.as_bytes()));
        assert!(!looks_like_it(b"2026-11-27 12:00:00 [main] x"));
    }

    #[test]
    fn a_line_of_a_load_balancer_gives_its_fields() {
        let line = concat!(
            r#"https 2026-11-27T22:23:00.186641Z app/shop/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 502 - 0 57 "#,
            r#""GET https://shop.example:443/ HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:x "Root=1-5" "shop.example" "arn:y" 1 2026-11-27T22:22:48.364000Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1234"#
        );
        let (message, fields) = shown(read_alb(line.as_bytes())).unwrap();
        assert_eq!(message, line);
        assert!(fields.contains("target_processing_time=number:0.048|response_processing_time=number:0.037|elb_status_code=number:502|received_bytes=number:0"));
        assert!(fields.contains("request=GET https://shop.example:443/ HTTP/1.1|user_agent=curl/7.46.0"));
        assert!(fields.ends_with("conn_trace_id=TID_1234"));
        assert_eq!(read_alb(b"https 2026-11-27T22:23:00.186641Z app/shop"), None);
    }
}
