//! Random trees, printed and read again.

use std::time::Duration;

use model::{MatchOp, Matcher, Timestamp};
use proptest::prelude::*;

use super::parse;
use crate::ast::{
    Aggregate, Aggregation, At, Binary, Edges, Expr, Fill, Group, Grouping, Kind, Matching, Op, Selector,
    Subquery, Type, When,
};
use crate::bounds::Bounds;
use crate::formula::{Formula, Formulas, Kind as Term};
use crate::functions;
use crate::span::Span;

fn expr(kind: Kind) -> Expr {
    Expr::new(kind, Span::default())
}

fn formula(kind: Term) -> Formula {
    Formula::new(kind, Span::default())
}

/// In parentheses wherever an operator beside it might take part of it.
fn closed(inner: Expr) -> Expr {
    match inner.kind {
        Kind::Binary(_) | Kind::Unary { .. } => expr(Kind::Paren(Box::new(inner))),
        // Behind `offset (1m)` an operator would belong to the offset.
        Kind::Selector(ref selector) if selector.formulas.is_some() && selector.when.at.is_none() => {
            expr(Kind::Paren(Box::new(inner)))
        }
        Kind::Number(number) if number.is_sign_negative() => expr(Kind::Paren(Box::new(inner))),
        _ => inner,
    }
}

fn closed_term(inner: Formula) -> Formula {
    match inner.kind {
        Term::Binary(..) | Term::Negative(_) => formula(Term::Paren(Box::new(inner))),
        _ => inner,
    }
}

fn terms() -> impl Strategy<Value = Formula> {
    let leaf = prop_oneof![
        (1u32..100_000).prop_map(|millis| Term::Number(f64::from(millis) / 1000.0)),
        (1i64..100_000_000).prop_map(Term::Duration),
        Just(Term::Step),
        Just(Term::Range),
    ];
    leaf.prop_map(formula).prop_recursive(4, 12, 2, |inner| {
        let ops = vec![Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Mod, Op::Pow];
        let two = (inner.clone(), inner.clone()).prop_map(Box::new);
        prop_oneof![
            inner.clone().prop_map(|inner| Term::Paren(Box::new(inner))),
            inner.prop_map(|inner| Term::Negative(Box::new(formula(Term::Paren(Box::new(inner)))))),
            (prop::sample::select(ops), two.clone()).prop_map(|(op, two)| {
                let (left, right) = *two;
                Term::Binary(op, Box::new((closed_term(left), closed_term(right))))
            }),
            two.clone().prop_map(Term::Least),
            two.prop_map(Term::Most),
        ]
        .prop_map(formula)
    })
}

/// A range or step, plain or computed.
fn lengths() -> impl Strategy<Value = (Duration, Option<Formula>)> {
    let computed = terms().prop_filter_map("more than nothing", |term| {
        let term = match term.kind {
            Term::Number(_) | Term::Duration(_) => formula(Term::Paren(Box::new(term))),
            _ => term,
        };
        match term.length(Bounds::default()) {
            Ok(length) => Some((length, Some(term))),
            Err(_) if term.is_of_query() => Some((Duration::ZERO, Some(term))),
            Err(_) => None,
        }
    });
    let plain = (1u64..10_000_000).prop_map(|millis| (Duration::from_millis(millis), None));
    prop_oneof![plain, computed]
}

/// An offset, plain or computed, as its milliseconds.
fn offsets() -> impl Strategy<Value = (i64, Option<Formula>)> {
    let computed = terms().prop_filter_map("a duration", |term| {
        let term = formula(Term::Paren(Box::new(term)));
        match term.millis(Bounds::default()) {
            Ok(millis) => Some((millis, Some(term))),
            Err(_) if term.is_of_query() => Some((0, Some(term))),
            Err(_) => None,
        }
    });
    let plain = (-10_000_000i64..10_000_000).prop_map(|millis| (millis, None));
    prop_oneof![plain, computed]
}

fn moments() -> impl Strategy<Value = Option<At>> {
    let time = (-10_000_000i64..10_000_000).prop_map(|time| Some(At::Time(Timestamp(time))));
    prop_oneof![Just(None), Just(Some(At::Start)), Just(Some(At::End)), time]
}

fn selectors() -> impl Strategy<Value = Selector> {
    let op = prop::sample::select(vec![
        MatchOp::Equal,
        MatchOp::NotEqual,
        MatchOp::Matches,
        MatchOp::NotMatches,
    ]);
    let matcher = ("[a-z]{1,4}|a\\.b", op, "[a-z\"\\\\\n.]{0,6}")
        .prop_map(|(name, op, value)| Matcher::new(&name, op, &value))
        .prop_filter("a regular expression", |matcher| {
            crate::filter::Filter::new(matcher).is_ok()
        });
    let name = "[a-z_]{1,8}|a b|sum|on|fill|step|inf|5m";
    (name, prop::collection::vec(matcher, 0..3), moments(), offsets()).prop_map(
        |(name, matchers, at, (offset, computed))| Selector {
            name: Some(name),
            matchers,
            when: When { at, offset },
            edges: match offset % 3 {
                1 => Edges::Anchored,
                2 => Edges::Smoothed,
                _ => Edges::Plain,
            },
            formulas: computed.map(|offset| {
                Box::new(Formulas {
                    offset: Some(offset),
                    ..Formulas::default()
                })
            }),
        },
    )
}

fn called(name: &str, args: Vec<Expr>) -> Expr {
    match functions::find(name) {
        Some(function) => expr(Kind::Call { function, args }),
        None => panic!("no function {name}"),
    }
}

/// `max_over_time` of a selector's range.
fn ranged((mut selector, (range, computed)): (Selector, (Duration, Option<Formula>))) -> Expr {
    if computed.is_some() {
        selector.formulas.get_or_insert_default().range = computed;
    }
    let selector = Box::new(selector);
    called("max_over_time", vec![expr(Kind::Range { selector, range })])
}

type Length = (Duration, Option<Formula>);

fn subqueried((inner, (range, computed), step): (Expr, Length, Option<Length>)) -> Expr {
    let (step, step_computed) = step.map_or((None, None), |(step, computed)| (Some(step), computed));
    let formulas = Formulas {
        range: computed,
        step: step_computed,
        offset: None,
    };
    let subquery = Subquery {
        expr: expr(Kind::Paren(Box::new(inner))),
        range,
        step,
        when: When::default(),
        formulas: (formulas != Formulas::default()).then(|| Box::new(formulas)),
    };
    called("min_over_time", vec![expr(Kind::Subquery(Box::new(subquery)))])
}

fn numbers() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("bits that can be written", |number| !number.is_nan()),
        Just(f64::NAN),
        Just(f64::INFINITY),
    ]
}

fn matchings() -> impl Strategy<Value = Matching> {
    let labels = || prop::collection::vec("[a-m]{1,3}|c\\.d", 0..3);
    let include = prop::collection::vec("[n-z]{1,3}", 0..2);
    let group = prop::sample::select(vec![Group::None, Group::Left, Group::Right]);
    let filled = || prop::option::of(numbers());
    (any::<bool>(), labels(), group, include, filled(), filled()).prop_map(
        |(on, labels, group, include, many, one)| Matching {
            on,
            labels,
            group,
            include: if group == Group::None { Vec::new() } else { include },
            fill: Fill { many, one },
        },
    )
}

fn binary((left, op, matching, right): (Expr, Op, Matching, Expr)) -> Expr {
    let plain = Matching {
        group: Group::None,
        include: Vec::new(),
        fill: Fill::default(),
        ..matching.clone()
    };
    let binary = Binary {
        op,
        left: closed(left),
        right: closed(right),
        as_bool: op.is_comparison(),
        matching: Some(if op.is_set() { plain } else { matching }),
    };
    expr(Kind::Binary(Box::new(binary)))
}

fn aggregate((op, without, labels, number, inner): (Aggregation, bool, Vec<String>, f64, Expr)) -> Expr {
    let param = op.param().map(|wanted| match wanted {
        Type::Text => Kind::Text(format!("{number}\n\"")),
        _ => Kind::Number(number),
    });
    expr(Kind::Aggregate(Box::new(Aggregate {
        op,
        expr: inner,
        param: param.map(expr),
        grouping: Grouping { without, labels },
    })))
}

/// Trees that give an instant vector.
fn vectors() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        selectors().prop_map(|selector| expr(Kind::Selector(Box::new(selector)))),
        (selectors(), lengths()).prop_map(ranged),
        numbers().prop_map(|number| called("vector", vec![expr(Kind::Number(number))])),
    ];
    leaf.prop_recursive(5, 24, 3, |inner| {
        let op = prop::sample::select(Op::ALL.to_vec());
        let aggregation = prop::sample::select(Aggregation::ALL.to_vec());
        let labels = prop::collection::vec("[a-z]{1,3}|c\\.d", 0..3);
        prop_oneof![
            inner.clone().prop_map(|inner| expr(Kind::Paren(Box::new(inner)))),
            inner.clone().prop_map(|inner| called("abs", vec![inner])),
            (any::<bool>(), inner.clone()).prop_map(|(negative, inner)| {
                let inner = Box::new(closed(inner));
                expr(Kind::Unary {
                    negative,
                    expr: inner,
                })
            }),
            (inner.clone(), lengths(), prop::option::of(lengths())).prop_map(subqueried),
            (inner.clone(), op, matchings(), inner.clone()).prop_map(binary),
            (aggregation, any::<bool>(), labels, numbers(), inner).prop_map(aggregate),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: super::tests::cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_is_read_as_it_was_printed(tree in vectors()) {
        let text = tree.to_string();
        match parse(&text) {
            Ok(again) => prop_assert_eq!(again, tree, "{}", text),
            Err(error) => prop_assert!(false, "{text}: {error}"),
        }
    }
}
