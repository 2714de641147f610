//! Containers of Docker: the lines of its `json-file` driver, and whose they are.

mod line;
mod whose;

pub(crate) use line::parse;
pub(crate) use whose::whose;
