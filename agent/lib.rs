//! The hall: who is connected to whom, which queue lies between them, and in which order things stop.

pub mod accounts;
mod answer;
pub mod app;
mod archive;
pub mod check;
pub mod cli;
pub mod config;
mod daemon;
mod glob;
pub mod graph;
mod history;
pub mod lines;
mod lock;
mod looks;
pub mod memory;
mod plot;
pub mod query;
pub mod relay;
mod reload;
pub mod scripts;
mod shipped;
mod sizing;
mod stages;
mod stock;
pub mod unit;
pub mod used;
mod views;
