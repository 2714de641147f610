//! Executes a tree, a step at a time, within limits.
//!
//! Lookups follow Go: a map gives its zero value for a missing key, a record has its fields and methods and
//! nothing else.

use std::sync::Arc;

use crate::error::Problem;
use crate::format;
use crate::html::Html;
use crate::parse::Source;
use crate::render::{Context, Template};
use crate::time;
use crate::tree::{Branch, Call, Callee, Command, Node, Operand, Pipeline, Term};
use crate::value::Value;

pub(crate) struct Run<'a> {
    context: &'a Context<'a>,
    template: &'a Template,
    pub(crate) output: String,
    /// What is executed, and the byte in it, for errors.
    pub(crate) source: &'a Source,
    pub(crate) at: usize,
    /// The newest of a name stands.
    variables: Vec<(Arc<str>, Value)>,
    steps: usize,
    /// Blocks, pipelines and templates within each other.
    depth: usize,
    /// Where in a page the output stands, if it is one.
    html: Option<Html>,
}

/// How a block ended.
#[derive(Clone, Copy, PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl<'a> Run<'a> {
    pub(crate) fn new(context: &'a Context<'a>, template: &'a Template, html: Option<Html>) -> Self {
        Self {
            html,
            context,
            template,
            output: String::new(),
            source: &template.main().source,
            at: 0,
            variables: Vec::new(),
            steps: 0,
            depth: 0,
        }
    }

    pub(crate) fn main(&mut self, body: &[Node]) -> Result<(), Problem> {
        let dot = self.context.data.clone();
        self.variables = vec![("$".into(), dot.clone())];
        for (name, value) in &self.context.variables {
            self.variables.push(((*name).into(), value.clone()));
        }
        self.block(body, &dot).map(drop)
    }

    fn step(&mut self) -> Result<(), Problem> {
        self.steps += 1;
        if self.steps > self.context.limits.steps {
            return Err(format!("more than {} steps", self.context.limits.steps).into());
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), Problem> {
        self.fits(self.output.len() + text.len())?;
        self.output.push_str(text);
        Ok(())
    }

    fn fits(&self, bytes: usize) -> Result<(), Problem> {
        if bytes > self.context.limits.bytes {
            return Err(format!("more than {} bytes of text", self.context.limits.bytes).into());
        }
        Ok(())
    }

    fn deeper<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T, Problem>) -> Result<T, Problem> {
        if self.depth >= self.context.limits.depth {
            return Err(format!("nested more than {} deep", self.context.limits.depth).into());
        }
        self.depth += 1;
        let result = inside(self);
        self.depth -= 1;
        result
    }

    fn block(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, Problem> {
        self.deeper(|run| run.nodes(nodes, dot))
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, Problem> {
        for node in nodes {
            self.step()?;
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    /// A block whose variables end with it.
    fn scope(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, Problem> {
        let known = self.variables.len();
        let flow = self.block(nodes, dot);
        self.variables.truncate(known);
        flow
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, Problem> {
        match node {
            Node::Text(text) => match &mut self.html {
                Some(html) => {
                    let text = html.literal(text);
                    self.write(&text)?;
                }
                None => self.write(text)?,
            },
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                self.set(pipeline, &value)?;
                if pipeline.variables.is_empty() {
                    let text = format::printed(&value, self.context.limits.bytes);
                    match &mut self.html {
                        Some(html) => {
                            let text = html.value(&text, is_html(pipeline))?;
                            self.write(&text)?;
                        }
                        None => self.write(&text)?,
                    }
                }
            }
            Node::If(branch) => return self.branch(branch, dot, false),
            Node::With(branch) => return self.branch(branch, dot, true),
            Node::Range(branch) => {
                let known = self.variables.len();
                let flow = self.range(branch, dot);
                self.variables.truncate(known);
                return flow;
            }
            Node::Template {
                at,
                name,
                dot: argument,
            } => self.template(*at, name, argument.as_ref(), dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn branch(&mut self, branch: &Branch, dot: &Value, with: bool) -> Result<Flow, Problem> {
        let known = self.variables.len();
        let value = self.pipeline(&branch.pipeline, dot)?;
        self.set(&branch.pipeline, &value)?;
        let flow = if value.is_true() {
            self.scope(&branch.then, if with { &value } else { dot })
        } else {
            self.scope(&branch.otherwise, dot)
        };
        self.variables.truncate(known);
        flow
    }

    fn range(&mut self, branch: &Branch, dot: &Value) -> Result<Flow, Problem> {
        let value = self.pipeline(&branch.pipeline, dot)?;
        let over = branch.pipeline.at;
        let entries: Vec<(Value, Value)> = match &value {
            Value::Nil => Vec::new(),
            Value::List(list) => {
                let numbered = list.items.iter().enumerate();
                numbered
                    .map(|(nth, item)| (Value::Int(nth as i64), item.clone()))
                    .collect()
            }
            Value::Map(map) => {
                let entries = map.entries.iter();
                entries
                    .map(|(key, item)| (Value::Text(Arc::clone(key)), item.clone()))
                    .collect()
            }
            Value::Int(count) => return self.range_count(branch, dot, *count),
            other => {
                self.at = over;
                return Err(format!("range can't iterate over {}", format::printed(other, 200)).into());
            }
        };
        if entries.is_empty() {
            return self.scope(&branch.otherwise, dot);
        }
        for (key, item) in entries {
            if self.turn(branch, &key, &item)? == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn range_count(&mut self, branch: &Branch, dot: &Value, count: i64) -> Result<Flow, Problem> {
        if count <= 0 {
            return self.scope(&branch.otherwise, dot);
        }
        for nth in 0..count {
            let number = Value::Int(nth);
            if self.turn(branch, &number, &number)? == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    /// Once around a loop.
    fn turn(&mut self, branch: &Branch, key: &Value, item: &Value) -> Result<Flow, Problem> {
        self.step()?;
        let known = self.variables.len();
        let pairs = match branch.pipeline.variables.as_slice() {
            [] => vec![],
            [one] => vec![(one, item)],
            [one, two, ..] => vec![(one, key), (two, item)],
        };
        for (name, value) in pairs {
            if branch.pipeline.assigns {
                self.assign(name, value)?;
            } else {
                self.variables.push((Arc::clone(name), value.clone()));
            }
        }
        let flow = self.block(&branch.then, item);
        self.variables.truncate(known);
        flow
    }

    fn template(
        &mut self,
        at: usize,
        name: &str,
        argument: Option<&Pipeline>,
        dot: &Value,
    ) -> Result<(), Problem> {
        let dot = match argument {
            Some(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                self.set(pipeline, &value)?;
                value
            }
            None => Value::Nil,
        };
        self.at = at;
        let called = self.template.called(name);
        let called = called.ok_or_else(|| format!("template {name:?} not defined"))?;
        let outside = std::mem::replace(&mut self.variables, vec![("$".into(), dot.clone())]);
        let caller = std::mem::replace(&mut self.source, &called.source);
        self.block(&called.body, &dot)?;
        // After a failure both stay, to say where it was.
        self.source = caller;
        self.variables = outside;
        Ok(())
    }

    fn set(&mut self, pipeline: &Pipeline, value: &Value) -> Result<(), Problem> {
        for name in &pipeline.variables {
            if pipeline.assigns {
                self.assign(name, value)?;
            } else {
                self.variables.push((Arc::clone(name), value.clone()));
            }
        }
        Ok(())
    }

    fn assign(&mut self, name: &str, value: &Value) -> Result<(), Problem> {
        let mut newest_first = self.variables.iter_mut().rev();
        match newest_first.find(|(known, _)| &**known == name) {
            Some((_, old)) => *old = value.clone(),
            None => return Err(format!("undefined variable: {name}").into()),
        }
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, Problem> {
        self.deeper(|run| {
            let mut piped = None;
            for command in &pipeline.commands {
                piped = Some(run.command(command, dot, piped)?);
            }
            Ok(piped.unwrap_or_default())
        })
    }

    fn command(&mut self, command: &Command, dot: &Value, piped: Option<Value>) -> Result<Value, Problem> {
        self.step()?;
        let head = &command.head;
        self.at = head.at;
        let has_arguments = !command.arguments.is_empty() || piped.is_some();
        match &head.term {
            Term::Function(callee) => self.call(callee, head.at, &command.arguments, dot, piped),
            Term::Fields(names) => {
                let arguments = self.arguments(&command.arguments, dot, piped)?;
                self.fields(head.at, dot.clone(), names, &arguments)
            }
            Term::Variable(name, names) if !names.is_empty() => {
                let arguments = self.arguments(&command.arguments, dot, piped)?;
                let variable = self.variable(name)?;
                self.fields(head.at, variable, names, &arguments)
            }
            Term::Chain(base, names) => {
                let arguments = self.arguments(&command.arguments, dot, piped)?;
                let base = self.operand(base, dot)?;
                self.fields(head.at, base, names, &arguments)
            }
            _ if has_arguments => Err("can't give argument to non-function".into()),
            _ => self.operand(head, dot),
        }
    }

    fn arguments(
        &mut self,
        operands: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Vec<Value>, Problem> {
        let mut values = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            values.push(self.operand(operand, dot)?);
        }
        values.extend(piped);
        Ok(values)
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, Problem> {
        self.step()?;
        self.at = operand.at;
        match &operand.term {
            Term::Literal(value) => Ok(value.clone()),
            Term::Nil => Ok(Value::Nil),
            Term::Dot => Ok(dot.clone()),
            Term::Fields(names) => self.fields(operand.at, dot.clone(), names, &[]),
            Term::Variable(name, names) => {
                let variable = self.variable(name)?;
                self.fields(operand.at, variable, names, &[])
            }
            Term::Function(callee) => self.call(callee, operand.at, &[], dot, None),
            Term::Pipeline(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                self.set(pipeline, &value)?;
                Ok(value)
            }
            Term::Chain(base, names) => {
                let base = self.operand(base, dot)?;
                self.fields(operand.at, base, names, &[])
            }
        }
    }

    fn variable(&self, name: &str) -> Result<Value, Problem> {
        let mut newest_first = self.variables.iter().rev();
        newest_first
            .find(|(known, _)| &**known == name)
            .map(|(_, value)| value.clone())
            .ok_or_else(|| format!("undefined variable: {name}").into())
    }

    /// `.a.b.c arguments`: only the last takes arguments.
    fn fields(
        &mut self,
        at: usize,
        base: Value,
        names: &[Arc<str>],
        arguments: &[Value],
    ) -> Result<Value, Problem> {
        let mut value = base;
        for (nth, name) in names.iter().enumerate() {
            let arguments = if nth + 1 == names.len() { arguments } else { &[] };
            self.at = at;
            value = self.field(&value, name, arguments)?;
        }
        Ok(value)
    }

    fn field(&self, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Problem> {
        if let Some(result) = (value.methods())(value, name, arguments) {
            return result.and_then(|value| self.bounded(value));
        }
        if let Some(result) = time::method(value, name, arguments) {
            return result.and_then(|value| self.bounded(value));
        }
        let plain = |found: Value| {
            if arguments.is_empty() {
                Ok(found)
            } else {
                Err(Problem::Wrong(format!(
                    "{name} has arguments but cannot be invoked as function"
                )))
            }
        };
        match value {
            Value::Nil => Err(format!("nil data; no entry for key {name:?}").into()),
            Value::Map(map) => plain(map.entries.get(name).unwrap_or(&map.zero).clone()),
            Value::Record(record) => match record.get(name) {
                Some(found) => plain(found.clone()),
                None => Err(no_field(name, value)),
            },
            _ => Err(no_field(name, value)),
        }
    }

    fn call(
        &mut self,
        callee: &Callee,
        at: usize,
        operands: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, Problem> {
        let given = operands.len() + usize::from(piped.is_some());
        if given < callee.least || callee.most.is_some_and(|most| given > most) {
            let least = if callee.most == Some(callee.least) {
                ""
            } else {
                "at least "
            };
            let want = if given < callee.least {
                callee.least
            } else {
                callee.most.unwrap_or_default()
            };
            return Err(format!(
                "wrong number of args for {}: want {least}{want} got {given}",
                callee.name
            )
            .into());
        }
        let function = match callee.call {
            Call::And => return self.first_that_is(false, operands, dot, piped),
            Call::Or => return self.first_that_is(true, operands, dot, piped),
            Call::Function(function) => function,
        };
        let arguments = self.arguments(operands, dot, piped)?;
        self.at = at;
        let result = function(self.context, &arguments).and_then(|value| self.bounded(value));
        result.map_err(|problem| match problem {
            Problem::Wrong(why) => Problem::Wrong(format!("error calling {}: {why}", callee.name)),
            other => other,
        })
    }

    /// `and` and `or`: the first argument whose truth is `wanted`, else the last; later ones are not
    /// looked at.
    fn first_that_is(
        &mut self,
        wanted: bool,
        operands: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, Problem> {
        let mut last = Value::Nil;
        for operand in operands {
            last = self.operand(operand, dot)?;
            if last.is_true() == wanted {
                return Ok(last);
            }
        }
        Ok(piped.unwrap_or(last))
    }

    /// Texts made by functions obey the limit of the output, so that none can be doubled without end.
    fn bounded(&self, value: Value) -> Result<Value, Problem> {
        if let Value::Text(text) = &value {
            self.fits(text.len())?;
        }
        Ok(value)
    }
}

fn no_field(name: &str, value: &Value) -> Problem {
    Problem::Wrong(format!(
        "can't evaluate field {name} in type {}",
        value.type_name()
    ))
}

/// Whether the last word on a value makes HTML of it.
fn is_html(pipeline: &Pipeline) -> bool {
    let last = pipeline.commands.last();
    last.is_some_and(|command| match &command.head.term {
        Term::Function(callee) => matches!(callee.name, "safeHtml" | "html"),
        _ => false,
    })
}
