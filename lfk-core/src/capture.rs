//! Capture: installing and uninstalling.
