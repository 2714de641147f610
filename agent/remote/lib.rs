//! Remote write: ready-made blocks of samples, sent from one bounded queue on disk and received without label work.

pub mod wire;
