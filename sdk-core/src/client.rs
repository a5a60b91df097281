//! The SDK without its platform.
