//! Answers.

use std::sync::Arc;

use model::{Histogram, Labels, Sample, Timestamp};

use crate::statistics::Statistics;

/// What a query gives, and what the engine wants to have said.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub value: Value,
    /// Native histograms, where the expression is a selector and nothing more: of an instant vector one of each series.
    /// Sorted by labels.
    pub histograms: Vec<HistogramSeries>,
    /// Something is most likely wrong; each with its place in the expression, ` (line:column)`.
    pub warnings: Vec<String>,
    /// Something may be meant otherwise.
    pub infos: Vec<String>,
    /// What it took, where [`crate::Options::count`] asks for that.
    pub statistics: Option<Statistics>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Scalar {
        time: Timestamp,
        value: f64,
    },
    String {
        time: Timestamp,
        text: String,
    },
    /// In the order the expression gives: of `sort` and `topk` it means something.
    Vector(Vec<VectorPoint>),
    /// Sorted by labels.
    Matrix(Vec<MatrixSeries>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct VectorPoint {
    pub labels: Labels,
    pub time: Timestamp,
    pub value: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSeries {
    pub labels: Labels,
    pub points: Vec<(Timestamp, Arc<Histogram>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSeries {
    pub labels: Labels,
    pub points: Vec<Sample>,
}
