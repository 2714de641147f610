//! What goes over the wire: Prometheus remote write 2.0, and 1.0 for others.

pub mod decode;
