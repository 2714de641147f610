//! Tokens into a tree. Scopes of variables are checked here, so that a misspelt one is found at load.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::complaint::nearest;

use crate::error::Mistake;
use crate::language::Language;
use crate::lex::{Kind, Token, tokens};
use crate::tree::{Block, Branch, Command, Node, Operand, Pipeline, Term};
use crate::value::Value;

/// Blocks and brackets within each other.
const DEPTH_MAX: usize = 100;
const TEXT_BYTES_MAX: usize = 256 * 1024;
const KEYWORDS: [&str; 10] = [
    "block", "break", "continue", "define", "else", "end", "if", "range", "template", "with",
];

pub(crate) type Definitions = BTreeMap<Arc<str>, Definition>;

/// A text and what it is called.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: Arc<str>,
    pub(crate) text: Arc<str>,
}

/// A template by its name, and where it was written, for errors.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) body: Block,
    pub(crate) source: Arc<Source>,
}

/// Among `known`; as in Go, an empty one replaces nothing.
pub(crate) fn define(known: &mut Definitions, name: Arc<str>, new: Definition) {
    if !known.contains_key(&name) || !is_empty(&new.body) {
        known.insert(name, new);
    }
}

/// Nothing but blanks.
pub(crate) fn is_empty(body: &[Node]) -> bool {
    let mut nodes = body.iter();
    nodes.all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
}

pub(crate) fn parse(language: &Language, source: &Arc<Source>) -> Result<(Block, Definitions), Mistake> {
    let text = &*source.text;
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("the template is longer than {TEXT_BYTES_MAX} bytes");
        return Err(Mistake::new(0, message));
    }
    let mut parser = Parser {
        language,
        source,
        tokens: tokens(text)?,
        next: 0,
        variables: Vec::new(),
        defined: Definitions::new(),
        depth: 0,
        ranges: 0,
    };
    parser.fresh_variables();
    for name in language.variables() {
        parser.variables.push(format!("${name}"));
    }
    let (body, ending) = parser.list(true)?;
    match ending.kind {
        Ending::Text => Ok((body.into(), parser.defined)),
        Ending::End => Err(Mistake::new(ending.at, "unexpected {{end}}")),
        Ending::Else(_) => Err(Mistake::new(ending.at, "unexpected {{else}}")),
    }
}

struct Parser<'a> {
    language: &'a Language,
    source: &'a Arc<Source>,
    tokens: Vec<Token>,
    next: usize,
    variables: Vec<String>,
    defined: Definitions,
    depth: usize,
    /// Loops around the current place, for `break` and `continue`.
    ranges: usize,
}

/// What a list of nodes ended with.
struct Ended {
    at: usize,
    kind: Ending,
}

#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Text,
    End,
    Else(Chained),
}

#[derive(Clone, Copy, PartialEq)]
enum Chained {
    Plain,
    If,
    With,
}

#[derive(Clone, Copy, PartialEq)]
enum Control {
    If,
    With,
    Range,
}

impl Parser<'_> {
    fn peek(&self) -> &Kind {
        self.tokens.get(self.next).map_or(&Kind::End, |token| &token.kind)
    }

    fn peek_at(&self) -> usize {
        let token = self.tokens.get(self.next).or(self.tokens.last());
        token.map_or(0, |token| token.at)
    }

    fn spaced(&self) -> bool {
        self.tokens.get(self.next).is_some_and(|token| token.spaced)
    }

    fn take(&mut self) -> (Kind, usize) {
        let at = self.peek_at();
        let kind = self.peek().clone();
        self.next += 1;
        (kind, at)
    }

    fn unexpected<T>(&self, context: &str) -> Result<T, Mistake> {
        let what = describe(self.peek());
        Err(Mistake::new(
            self.peek_at(),
            format!("unexpected {what} in {context}"),
        ))
    }

    fn expect(&mut self, kind: &Kind, context: &str) -> Result<(), Mistake> {
        if self.peek() != kind {
            return self.unexpected(context);
        }
        self.next += 1;
        Ok(())
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Mistake>) -> Result<T, Mistake> {
        if self.depth >= DEPTH_MAX {
            let message = format!("nested more than {DEPTH_MAX} deep");
            return Err(Mistake::new(self.peek_at(), message));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn fresh_variables(&mut self) -> Vec<String> {
        std::mem::replace(&mut self.variables, vec!["$".to_owned()])
    }

    /// Nodes up to `{{end}}`, `{{else}}` or the end of the text.
    fn list(&mut self, top: bool) -> Result<(Vec<Node>, Ended), Mistake> {
        let mut nodes = Vec::new();
        loop {
            let (kind, at) = self.take();
            let kind = match kind {
                Kind::Text(text) => {
                    nodes.push(Node::Text(text.into()));
                    continue;
                }
                Kind::Open => self.action(top, &mut nodes)?,
                _ => Some(Ending::Text),
            };
            if let Some(kind) = kind {
                return Ok((nodes, Ended { at, kind }));
            }
        }
    }

    fn action(&mut self, top: bool, nodes: &mut Vec<Node>) -> Result<Option<Ending>, Mistake> {
        let at = self.peek_at();
        let keyword = match self.peek() {
            Kind::Word(word) => KEYWORDS.into_iter().find(|known| known == word),
            _ => None,
        };
        if keyword.is_some() {
            self.next += 1;
        }
        match keyword {
            None => nodes.push(Node::Print(self.pipeline("command", &Kind::Close, false)?)),
            Some("if") => nodes.push(self.control(Control::If)?),
            Some("with") => nodes.push(self.control(Control::With)?),
            Some("range") => nodes.push(self.control(Control::Range)?),
            Some("end") => {
                self.expect(&Kind::Close, "{{end}}")?;
                return Ok(Some(Ending::End));
            }
            Some("else") => return self.otherwise().map(|chained| Some(Ending::Else(chained))),
            Some("template") => nodes.push(self.call_template(at)?),
            Some("block") => nodes.push(self.deeper(|parser| parser.block(at))?),
            Some("define") if top => self.define(at)?,
            Some("define") => {
                return Err(Mistake::new(
                    at,
                    "unexpected {{define}}: it belongs outside of all blocks",
                ));
            }
            Some(word) => {
                if self.ranges == 0 {
                    return Err(Mistake::new(at, format!("{{{{{word}}}}} outside {{{{range}}}}")));
                }
                self.expect(&Kind::Close, "{{break}} or {{continue}}")?;
                nodes.push(if word == "break" {
                    Node::Break
                } else {
                    Node::Continue
                });
            }
        }
        Ok(None)
    }

    /// Behind `else`: nothing, or the `if` or `with` of a chain.
    fn otherwise(&mut self) -> Result<Chained, Mistake> {
        let chained = match self.peek() {
            Kind::Word(word) if word == "if" => Chained::If,
            Kind::Word(word) if word == "with" => Chained::With,
            _ => {
                self.expect(&Kind::Close, "{{else}}")?;
                return Ok(Chained::Plain);
            }
        };
        self.next += 1;
        Ok(chained)
    }

    fn control(&mut self, control: Control) -> Result<Node, Mistake> {
        self.deeper(|parser| {
            let scope = parser.variables.len();
            let node = parser.control_inside(control);
            parser.variables.truncate(scope);
            node
        })
    }

    fn control_inside(&mut self, control: Control) -> Result<Node, Mistake> {
        let (word, range) = match control {
            Control::If => ("if", false),
            Control::With => ("with", false),
            Control::Range => ("range", true),
        };
        let at = self.peek_at();
        let pipeline = self.pipeline(word, &Kind::Close, range)?;
        let scope = self.variables.len();
        self.ranges += usize::from(range);
        let (then, ended) = self.list(false)?;
        self.ranges -= usize::from(range);
        self.variables.truncate(scope);
        let otherwise = match (ended.kind, control) {
            (Ending::End, _) => Vec::new(),
            (Ending::Text, _) => return Err(unclosed(at, word)),
            (Ending::Else(Chained::If), Control::If) => vec![self.control(Control::If)?],
            (Ending::Else(Chained::With), Control::With) => vec![self.control(Control::With)?],
            (Ending::Else(Chained::Plain), _) => {
                let (nodes, ended) = self.list(false)?;
                match ended.kind {
                    Ending::End => nodes,
                    Ending::Text => return Err(unclosed(at, word)),
                    Ending::Else(_) => {
                        return Err(Mistake::new(ended.at, "expected {{end}}, found another {{else}}"));
                    }
                }
            }
            (Ending::Else(_), _) => {
                let message = format!("this {{{{else …}}}} does not belong to a {{{{{word}}}}}");
                return Err(Mistake::new(ended.at, message));
            }
        };
        let branch = Branch {
            pipeline,
            then: then.into(),
            otherwise: otherwise.into(),
        };
        Ok(match control {
            Control::If => Node::If(branch),
            Control::With => Node::With(branch),
            Control::Range => Node::Range(branch),
        })
    }

    fn template_name(&mut self, context: &str) -> Result<Arc<str>, Mistake> {
        match self.take() {
            (Kind::Quoted(name), _) => Ok(name.into()),
            (other, at) => Err(Mistake::new(
                at,
                format!(
                    "{context} needs the name of a template in quotes, found {}",
                    describe(&other)
                ),
            )),
        }
    }

    fn call_template(&mut self, at: usize) -> Result<Node, Mistake> {
        let name = self.template_name("{{template}}")?;
        let dot = if *self.peek() == Kind::Close {
            self.next += 1;
            None
        } else {
            Some(self.pipeline("template", &Kind::Close, false)?)
        };
        Ok(Node::Template { at, name, dot })
    }

    fn block(&mut self, at: usize) -> Result<Node, Mistake> {
        let name = self.template_name("{{block}}")?;
        let dot = Some(self.pipeline("block", &Kind::Close, false)?);
        self.definition(at, Arc::clone(&name), "block")?;
        Ok(Node::Template { at, name, dot })
    }

    fn define(&mut self, at: usize) -> Result<(), Mistake> {
        let name = self.template_name("{{define}}")?;
        self.expect(&Kind::Close, "{{define}}")?;
        self.definition(at, name, "define")
    }

    fn definition(&mut self, at: usize, name: Arc<str>, word: &str) -> Result<(), Mistake> {
        let outside = self.fresh_variables();
        let ranges = std::mem::take(&mut self.ranges);
        let (body, ended) = self.list(false)?;
        self.variables = outside;
        self.ranges = ranges;
        match ended.kind {
            Ending::End => {
                let there = self.defined.get(&name);
                if there.is_some_and(|there| !is_empty(&there.body)) && !is_empty(&body) {
                    return Err(Mistake::new(at, format!("template {name:?} is defined twice")));
                }
                let new = Definition {
                    body: body.into(),
                    source: Arc::clone(self.source),
                };
                define(&mut self.defined, name, new);
                Ok(())
            }
            Ending::Text => Err(unclosed(at, word)),
            Ending::Else(_) => Err(Mistake::new(ended.at, "unexpected {{else}}")),
        }
    }

    /// Commands up to `until`, which is taken too.
    fn pipeline(&mut self, context: &str, until: &Kind, range: bool) -> Result<Pipeline, Mistake> {
        let at = self.peek_at();
        let (variables, assigns) = self.variables_set(context, range)?;
        let mut commands = Vec::new();
        loop {
            if self.peek() == until && commands.is_empty() {
                return Err(Mistake::new(
                    self.peek_at(),
                    format!("missing value for {context}"),
                ));
            }
            let command = self.command(context)?;
            if !commands.is_empty() && is_constant(&command.head.term) {
                let message = format!("non executable command in pipeline stage {}", commands.len() + 1);
                return Err(Mistake::new(command.head.at, message));
            }
            if matches!(command.head.term, Term::Nil) {
                return Err(Mistake::new(command.head.at, "nil is not a command"));
            }
            commands.push(command);
            if self.peek() == until {
                self.next += 1;
                break;
            }
            self.expect(&Kind::Pipe, context)?;
        }
        if !assigns {
            let made = variables.iter().map(|name: &Arc<str>| name.to_string());
            self.variables.extend(made);
        }
        Ok(Pipeline {
            at,
            variables,
            assigns,
            commands,
        })
    }

    /// `$a :=`, `$a =` or, in a range, `$a, $b :=`, if that is what comes next.
    fn variables_set(&mut self, context: &str, range: bool) -> Result<(Vec<Arc<str>>, bool), Mistake> {
        let kind = |ahead: usize| self.tokens.get(self.next + ahead).map(|token| &token.kind);
        let (names, setter) = match (kind(0), kind(1), kind(2), kind(3)) {
            (Some(Kind::Variable(one)), Some(setter @ (Kind::Declare | Kind::Assign)), ..) => {
                (vec![one.as_str().into()], setter.clone())
            }
            (
                Some(Kind::Variable(one)),
                Some(Kind::Comma),
                Some(Kind::Variable(two)),
                Some(setter @ (Kind::Declare | Kind::Assign)),
            ) => {
                if !range {
                    let message = format!("too many declarations in {context}");
                    return Err(Mistake::new(self.peek_at(), message));
                }
                (vec![one.as_str().into(), two.as_str().into()], setter.clone())
            }
            _ => return Ok((Vec::new(), false)),
        };
        let names: Vec<Arc<str>> = names;
        let assigns = setter == Kind::Assign;
        if assigns {
            for name in &names {
                self.known(name, self.peek_at())?;
            }
        }
        self.next += 2 * names.len();
        Ok((names, assigns))
    }

    fn known(&self, name: &str, at: usize) -> Result<(), Mistake> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        let near = nearest(name, self.variables.iter().map(String::as_str));
        Err(Mistake {
            at,
            message: format!("undefined variable {name:?}"),
            suggestion: near.map(|near| format!("did you mean {near:?}?")),
        })
    }

    fn command(&mut self, context: &str) -> Result<Command, Mistake> {
        let head = self.operand(context)?;
        let mut arguments = Vec::new();
        loop {
            match self.peek() {
                Kind::Pipe | Kind::Close | Kind::Right => break,
                _ if !self.spaced() => return self.unexpected("operand"),
                _ => arguments.push(self.operand(context)?),
            }
        }
        Ok(Command { head, arguments })
    }

    /// A term and the fields written directly behind it.
    fn operand(&mut self, context: &str) -> Result<Operand, Mistake> {
        let at = self.peek_at();
        let term = self.term(context)?;
        let mut fields: Vec<Arc<str>> = Vec::new();
        while let Kind::Field(name) = self.peek()
            && !self.spaced()
        {
            fields.push(name.as_str().into());
            self.next += 1;
        }
        if fields.is_empty() {
            return Ok(Operand { at, term });
        }
        let term = match term {
            Term::Fields(mut first) => {
                first.extend(fields);
                Term::Fields(first)
            }
            Term::Variable(name, _) => Term::Variable(name, fields),
            Term::Literal(_) | Term::Nil | Term::Dot => {
                return Err(Mistake::new(at, "unexpected . after a constant"));
            }
            other => Term::Chain(Box::new(Operand { at, term: other }), fields),
        };
        Ok(Operand { at, term })
    }

    fn term(&mut self, context: &str) -> Result<Term, Mistake> {
        let at = self.peek_at();
        let term = match self.peek().clone() {
            Kind::Word(word) if KEYWORDS.contains(&word.as_str()) => return self.unexpected(context),
            Kind::Word(word) => Term::Function(self.language.function(&word).ok_or_else(|| {
                let near = self.language.nearest_function(&word);
                Mistake {
                    at,
                    message: format!("function {word:?} not defined"),
                    suggestion: near.map(|near| format!("did you mean {near:?}?")),
                }
            })?),
            Kind::Field(name) => Term::Fields(vec![name.into()]),
            Kind::Variable(name) => {
                self.known(&name, at)?;
                Term::Variable(name.into(), Vec::new())
            }
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Bool(truth) => Term::Literal(Value::Bool(truth)),
            Kind::Int(number) => Term::Literal(Value::Int(number)),
            Kind::Float(number) => Term::Literal(Value::Float(number)),
            Kind::Quoted(text) => Term::Literal(text.into()),
            Kind::Left => {
                self.next += 1;
                let inner =
                    self.deeper(|parser| parser.pipeline("parenthesized pipeline", &Kind::Right, false));
                return Ok(Term::Pipeline(Box::new(inner?)));
            }
            _ => return self.unexpected(context),
        };
        self.next += 1;
        Ok(term)
    }
}

fn unclosed(at: usize, word: &str) -> Mistake {
    Mistake::new(at, format!("{{{{{word}}}}} without its {{{{end}}}}"))
}

fn is_constant(term: &Term) -> bool {
    matches!(term, Term::Literal(_) | Term::Nil | Term::Dot)
}

fn describe(kind: &Kind) -> String {
    match kind {
        Kind::Text(_) => "text".to_owned(),
        Kind::Open => "{{".to_owned(),
        Kind::Close => "}}".to_owned(),
        Kind::Word(word) => format!("<{word}>"),
        Kind::Field(name) => format!("<.{name}>"),
        Kind::Variable(name) => format!("variable {name}"),
        Kind::Dot => "<.>".to_owned(),
        Kind::Nil => "nil".to_owned(),
        Kind::Bool(truth) => truth.to_string(),
        Kind::Int(number) => number.to_string(),
        Kind::Float(number) => number.to_string(),
        Kind::Quoted(text) => format!("{text:?}"),
        Kind::Declare => ":=".to_owned(),
        Kind::Assign => "=".to_owned(),
        Kind::Comma => "comma".to_owned(),
        Kind::Pipe => "|".to_owned(),
        Kind::Left => "(".to_owned(),
        Kind::Right => ")".to_owned(),
        Kind::End => "the end of the template".to_owned(),
    }
}
