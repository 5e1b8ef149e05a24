//! Filled by the modules that use it.
