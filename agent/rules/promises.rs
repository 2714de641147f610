//! What the room promises, in virtual time: the real manager, journal and evaluator, over data that a test
//! writes as a function of time.

mod backtest;
mod house;
mod inherit;
mod load;
mod memory;
mod missing;
mod points;
mod promtool;
mod reload;
mod restart;
mod series;
mod shipped;
mod silent;
mod states;
mod unreachable;
