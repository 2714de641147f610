//! One test binary; a module per promise made to users.
