//! What the sender promises, on virtual time.
