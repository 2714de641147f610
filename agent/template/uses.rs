//! What a template takes from its alert, without expanding it: its value, its labels by name, the questions it asks.

use std::sync::Arc;

use crate::error::line_column;
use crate::render::Template;
use crate::tree::{Branch, Command, Node, Operand, Pipeline, Term};
use crate::value::Value;

/// One place of a template that takes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The value, or what is made of it, becomes part of the text. That it only decides what is written is no use.
    Value,
    /// A label of the alert, by its name.
    Label(Arc<str>),
    /// An expression that is written in the template as it is asked.
    Query(Arc<str>),
}

/// What something in a template is, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// What `.` and `$` are at the beginning.
    Data,
    Labels,
    /// The value, or made of it.
    Value,
    Other,
}

impl Template {
    /// All that a rule's annotation or label takes, in the order of the text.
    #[must_use]
    pub fn uses(&self) -> Vec<Use> {
        let mut walk = Walk {
            source: self.source(),
            template: self,
            within: Vec::new(),
            variables: start(Sort::Data),
            uses: Vec::new(),
        };
        walk.variables.extend([
            ("$labels".into(), Sort::Labels),
            ("$value".into(), Sort::Value),
            ("$externalLabels".into(), Sort::Other),
            ("$externalURL".into(), Sort::Other),
        ]);
        walk.block(self.body(), Sort::Data);
        walk.uses.sort_by_key(|one| (one.line, one.column));
        walk.uses.dedup();
        walk.uses
    }
}

fn start(dot: Sort) -> Vec<(Arc<str>, Sort)> {
    vec![("$".into(), dot)]
}

struct Walk<'t> {
    source: &'t str,
    template: &'t Template,
    /// Names of the templates being walked: one that calls itself ends here.
    within: Vec<Arc<str>>,
    variables: Vec<(Arc<str>, Sort)>,
    uses: Vec<Use>,
}

impl Walk<'_> {
    fn found(&mut self, at: usize, what: What) {
        let (line, column) = line_column(self.source, at);
        self.uses.push(Use { line, column, what });
    }

    fn block(&mut self, nodes: &[Node], dot: Sort) {
        let scope = self.variables.len();
        for node in nodes {
            match node {
                Node::Text(_) | Node::Break | Node::Continue => {}
                Node::Print(pipeline) => {
                    let sort = self.pipeline(pipeline, dot);
                    // Setting a variable prints nothing.
                    if sort == Sort::Value && pipeline.variables.is_empty() {
                        self.found(pipeline.at, What::Value);
                    }
                }
                Node::If(branch) => self.branch(branch, dot, None),
                Node::With(branch) => self.branch(branch, dot, Some(false)),
                Node::Range(branch) => self.branch(branch, dot, Some(true)),
                Node::Template { name, dot: data, .. } => {
                    let data = data.as_ref().map_or(Sort::Other, |data| self.pipeline(data, dot));
                    self.call(name, data);
                }
            }
        }
        self.variables.truncate(scope);
    }

    /// `moves`: the pipeline becomes the dot, and of a range, what is in it.
    fn branch(&mut self, branch: &Branch, dot: Sort, moves: Option<bool>) {
        let scope = self.variables.len();
        let sort = self.pipeline(&branch.pipeline, dot);
        let inside = match moves {
            None => dot,
            Some(true) if sort != Sort::Value => Sort::Other,
            Some(_) => sort,
        };
        self.block(&branch.then, inside);
        self.block(&branch.otherwise, dot);
        self.variables.truncate(scope);
    }

    fn call(&mut self, name: &Arc<str>, data: Sort) {
        let Some(called) = self.template.called(name) else {
            return;
        };
        if self.within.contains(name) {
            return;
        }
        let outside = std::mem::replace(&mut self.variables, start(data));
        self.within.push(Arc::clone(name));
        self.block(&called.body, data);
        self.within.pop();
        self.variables = outside;
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: Sort) -> Sort {
        let mut sort = None;
        // What the command before gives, where it is a text written here.
        let mut text: Option<Arc<str>> = None;
        for command in &pipeline.commands {
            let given = (sort, text.take());
            text = literal(command);
            sort = Some(self.command(command, dot, given));
        }
        let sort = sort.unwrap_or(Sort::Other);
        for (nth, name) in pipeline.variables.iter().enumerate() {
            // Of two the first is a range's key.
            let sort = match (pipeline.variables.len(), nth) {
                (2, 0) => Sort::Other,
                (2, _) if sort != Sort::Value => Sort::Other,
                _ => sort,
            };
            let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
            match known.filter(|_| pipeline.assigns) {
                Some((_, known)) => *known = sort,
                None => self.variables.push((Arc::clone(name), sort)),
            }
        }
        sort
    }

    fn command(&mut self, command: &Command, dot: Sort, given: (Option<Sort>, Option<Arc<str>>)) -> Sort {
        let Term::Function(callee) = &command.head.term else {
            return self.operand(&command.head, dot);
        };
        let (piped, text) = given;
        let arguments: Vec<Sort> = command
            .arguments
            .iter()
            .map(|argument| self.operand(argument, dot))
            .chain(piped)
            .collect();
        let first = command.arguments.first();
        let words = command.arguments.last().and_then(written).or(text);
        match (callee.name, words) {
            ("query", Some(expr)) => {
                let at = first.map_or(command.head.at, |argument| argument.at);
                self.found(at, What::Query(expr));
                Sort::Other
            }
            ("index", Some(name)) if arguments.first() == Some(&Sort::Labels) => {
                let at = first.map_or(command.head.at, |argument| argument.at);
                self.found(at, What::Label(name));
                Sort::Other
            }
            // A yes or no has few values, whatever it is made of.
            ("eq" | "ne" | "lt" | "le" | "gt" | "ge" | "not" | "len", _) => Sort::Other,
            _ if arguments.contains(&Sort::Value) => Sort::Value,
            _ => Sort::Other,
        }
    }

    fn operand(&mut self, operand: &Operand, dot: Sort) -> Sort {
        match &operand.term {
            Term::Literal(_) | Term::Nil => Sort::Other,
            Term::Dot => dot,
            Term::Fields(names) => self.fields(operand.at, dot, names),
            Term::Variable(name, names) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                let sort = known.map_or(Sort::Other, |(_, sort)| *sort);
                self.fields(operand.at, sort, names)
            }
            Term::Function(_) => {
                let head = operand.clone();
                let command = Command {
                    head,
                    arguments: Vec::new(),
                };
                self.command(&command, dot, (None, None))
            }
            Term::Pipeline(pipeline) => self.pipeline(pipeline, dot),
            Term::Chain(base, names) => {
                let sort = self.operand(base, dot);
                self.fields(operand.at, sort, names)
            }
        }
    }

    fn fields(&mut self, at: usize, mut sort: Sort, names: &[Arc<str>]) -> Sort {
        for name in names {
            sort = match (sort, &**name) {
                (Sort::Data, "Labels") => Sort::Labels,
                (Sort::Data, "Value") => Sort::Value,
                (Sort::Labels, _) => {
                    self.found(at, What::Label(Arc::clone(name)));
                    Sort::Other
                }
                (Sort::Value, _) => Sort::Value,
                _ => Sort::Other,
            };
        }
        sort
    }
}

/// The text that a command of nothing else is.
fn literal(command: &Command) -> Option<Arc<str>> {
    if command.arguments.is_empty() {
        written(&command.head)
    } else {
        None
    }
}

fn written(operand: &Operand) -> Option<Arc<str>> {
    match &operand.term {
        Term::Literal(Value::Text(text)) => Some(Arc::clone(text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let uses = Template::parse("t", text).unwrap().uses();
        let found: Vec<String> = uses
            .iter()
            .map(|one| {
                let what = match &one.what {
                    What::Value => "value".to_owned(),
                    What::Label(name) => format!("label {name}"),
                    What::Query(expr) => format!("query {expr}"),
                };
                format!("{}:{} {what}", one.line, one.column)
            })
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn labels_are_found_by_every_way_to_them() {
        check(
            "{{ $labels.a }} {{ .Labels.b }}",
            &["1:4 label a", "1:20 label b"],
        );
        check("\n{{ index $labels \"a.b\" }}", &["2:10 label a.b"]);
        check(
            "{{ $l := .Labels }}{{ $l.a | toUpper }}{{ with $labels }}{{ .b }}{{ $.Labels.c }}{{ end }}",
            &["1:23 label a", "1:61 label b", "1:69 label c"],
        );
        check(
            "{{ if $labels.a }}{{ else }}{{ $labels.b }}{{ end }}",
            &["1:7 label a", "1:32 label b"],
        );
        check(
            "{{ define \"x\" }}{{ .Labels.a }}{{ end }}{{ template \"x\" . }}",
            &["1:20 label a"],
        );
        check("{{ $externalLabels.a }} {{ .ExternalURL }}", &[]);
    }

    #[test]
    fn labels_of_answers_are_not_the_alerts() {
        check(
            "{{ range query \"up\" }}{{ .Labels.a }}{{ .Value }}{{ end }}",
            &["1:16 query up"],
        );
        check(
            "{{ with \"up\" | query }}{{ . | first | label \"a\" }}{{ end }}",
            &["1:16 query up"],
        );
        check(
            "{{ printf \"up{a=%q}\" $labels.a | query | len }}",
            &["1:22 label a"],
        );
    }

    #[test]
    fn the_value_counts_where_it_becomes_text() {
        check("{{ $value | humanize }}", &["1:4 value"]);
        check("{{ $v := printf \"%.0f\" .Value }}x{{ $v }}", &["1:37 value"]);
        check("{{ with .Value }}{{ . }}{{ end }}", &["1:21 value"]);
        check("{{ if gt $value 1.0 }}a{{ else }}b{{ end }}", &[]);
        check(
            "{{ define \"x\" }}{{ template \"x\" . }}{{ . }}{{ end }}{{ template \"x\" .Value }}",
            &["1:40 value"],
        );
    }
}
