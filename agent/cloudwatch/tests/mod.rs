//! The room as a whole, beside a fake AWS that lags, revises, throttles and bills as the real one does.

mod faults;
mod house;
mod money;
mod near;
mod policy;
mod told;
mod truth;
