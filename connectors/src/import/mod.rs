//! Readers of foreign descriptions. They yield what a person then completes; they never widen our own vocabulary.

pub mod openapi;
