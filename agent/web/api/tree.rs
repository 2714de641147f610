//! `/api/v1/parse_query`: an expression as a tree, in the shape of prometheus/prometheus web/api/v1/translate_ast.go.

use promql::{At, Edges, Expr, Group, Kind, Op, Selector, Type, When};
use serde_json::{Value, json};

/// The parser bounds how tall a tree is.
pub(super) fn tree(expr: &Expr) -> Value {
    match &expr.kind {
        Kind::Number(value) => json!({"type": "numberLiteral", "val": plain(*value)}),
        Kind::Text(text) => json!({"type": "stringLiteral", "val": text}),
        Kind::Selector(selector) => {
            let mut object = selected(selector, "vectorSelector");
            placed(&mut object, selector.when);
            object
        }
        Kind::Range { selector, range } => {
            let mut object = selected(selector, "matrixSelector");
            placed(&mut object, selector.when);
            insert(&mut object, "range", json!(range.as_millis() as u64));
            object
        }
        Kind::Subquery(subquery) => {
            let step = subquery.step.unwrap_or_default();
            let mut object = json!({
                "type": "subquery",
                "expr": tree(&subquery.expr),
                "range": subquery.range.as_millis() as u64,
                "step": step.as_millis() as u64,
            });
            placed(&mut object, subquery.when);
            object
        }
        Kind::Unary { negative, expr } => {
            let op = if *negative { "-" } else { "+" };
            json!({"type": "unaryExpr", "op": op, "expr": tree(expr)})
        }
        Kind::Binary(binary) => json!({
            "type": "binaryExpr",
            "op": binary.op.text(),
            "lhs": tree(&binary.left),
            "rhs": tree(&binary.right),
            "matching": matching(binary),
            "bool": binary.as_bool,
        }),
        Kind::Aggregate(aggregate) => json!({
            "type": "aggregation",
            "op": aggregate.op.text(),
            "expr": tree(&aggregate.expr),
            "param": aggregate.param.as_ref().map(tree),
            "grouping": aggregate.grouping.labels,
            "without": aggregate.grouping.without,
        }),
        Kind::Call { function, args } => json!({
            "type": "call",
            "func": {
                "name": function.name,
                "argTypes": function.args.iter().copied().map(kind).collect::<Vec<_>>(),
                "variadic": function.variadic(),
                "returnType": kind(function.returns),
            },
            "args": args.iter().map(tree).collect::<Vec<_>>(),
        }),
        Kind::Paren(inner) => json!({"type": "parenExpr", "expr": tree(inner)}),
    }
}

fn selected(selector: &Selector, kind: &str) -> Value {
    let mut matchers = selector.all_matchers();
    // The name stands last there.
    matchers.rotate_left(usize::from(selector.name.is_some()));
    let matchers = matchers
        .iter()
        .map(|matcher| json!({"name": matcher.name, "value": matcher.value, "type": matcher.op.text()}));
    json!({
        "type": kind,
        "name": selector.name.as_deref().unwrap_or_default(),
        "matchers": matchers.collect::<Vec<_>>(),
        "anchored": selector.edges == Edges::Anchored,
        "smoothed": selector.edges == Edges::Smoothed,
    })
}

fn placed(object: &mut Value, when: When) {
    let (time, edge) = match when.at {
        Some(At::Time(time)) => (json!(time.0), Value::Null),
        Some(At::Start) => (Value::Null, json!("start")),
        Some(At::End) => (Value::Null, json!("end")),
        None => (Value::Null, Value::Null),
    };
    insert(object, "offset", json!(when.offset));
    insert(object, "timestamp", time);
    insert(object, "startOrEnd", edge);
}

fn insert(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(fields) = object {
        fields.insert(name.to_owned(), value);
    }
}

/// Null where one side is a number.
fn matching(binary: &promql::Binary) -> Value {
    if [&binary.left, &binary.right].map(Expr::returns) != [Type::Vector; 2] {
        return Value::Null;
    }
    let matching = binary.matching.clone().unwrap_or_default();
    let is_set = matches!(binary.op, Op::And | Op::Or | Op::Unless);
    let card = match matching.group {
        _ if is_set => "many-to-many",
        Group::None => "one-to-one",
        Group::Left => "many-to-one",
        Group::Right => "one-to-many",
    };
    json!({
        "card": card,
        "labels": matching.labels,
        "on": matching.on,
        "include": matching.include,
        "fillValues": {"lhs": matching.fill.many, "rhs": matching.fill.one},
    })
}

fn kind(kind: Type) -> &'static str {
    match kind {
        Type::Scalar => "scalar",
        Type::Text => "string",
        Type::Vector => "vector",
        Type::Matrix => "matrix",
    }
}

/// Never with an exponent.
fn plain(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Value {
        tree(&promql::parse(text).unwrap())
    }

    #[test]
    fn a_selector_has_all_its_fields() {
        let wanted = json!({
            "type": "matrixSelector", "name": "up", "range": 300_000, "offset": -60_000, "timestamp": 1_500,
            "startOrEnd": null, "anchored": false, "smoothed": false,
            "matchers": [
                {"name": "job", "value": "a|b", "type": "=~"},
                {"name": "__name__", "value": "up", "type": "="},
            ],
        });
        let expr = parsed("up{job=~\"a|b\"}[5m] @ 1.5 offset -1m");
        assert_eq!(
            parsed("rate(up{job=~\"a|b\"}[5m] @ 1.5 offset -1m)")["args"][0],
            wanted
        );
        assert_eq!(expr, wanted);
    }

    #[test]
    fn operators_tell_how_their_sides_belong_together() {
        let card = |text: &str| parsed(text)["matching"]["card"].clone();
        assert_eq!(card("a + b"), "one-to-one");
        assert_eq!(card("a + on (x) group_left (y) b"), "many-to-one");
        assert_eq!(card("a or b"), "many-to-many");
        assert_eq!(parsed("a > bool 1")["matching"], Value::Null);
        assert_eq!(parsed("a > bool 1")["bool"], true);
        assert_eq!(parsed("1e20")["val"], "100000000000000000000");
        assert_eq!(parsed("topk without (x) (3, a)")["param"]["val"], "3");
        assert_eq!(
            parsed("label_join(a, \"b\", \"-\", \"c\")")["func"]["variadic"],
            -1
        );
        assert_eq!(parsed("round(a)")["func"]["variadic"], 1);
    }
}
