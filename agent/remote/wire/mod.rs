//! What goes over the wire: Prometheus remote write 2.0, and 1.0 for others; protobuf by hand, in snappy's blocks.

pub mod decode;
pub(crate) mod encode;
pub(crate) mod encode_histogram;
#[cfg(test)]
pub(crate) mod encode_plain;
pub(crate) mod encode_template;
