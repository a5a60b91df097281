//! Hints on their way to pages: admit a stream, remember what was said, fan out, write.

pub mod admit;
pub mod frame;
pub mod hub;
pub mod outbox;
pub mod stream;
